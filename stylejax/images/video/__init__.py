"""Videos in and out, with their sound: everything that needs PyAV (the extra `video`).

container.py opens files and counts frames, reader.py yields frames, srgb.py converts their colors
to sRGB, writer.py encodes, and tracks.py copies sound and subtitles. PyAV is imported only when a
video is opened. Animations and folders of frames are in images/.
"""

from stylejax.images.video.container import check_available, is_video
from stylejax.images.video.reader import VideoReader
from stylejax.images.video.writer import VideoWriter

__all__ = ["VideoReader", "VideoWriter", "check_available", "is_video"]
