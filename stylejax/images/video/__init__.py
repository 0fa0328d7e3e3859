"""Videos in and out, with their sound: everything that needs PyAV (the extra `video`).

container.py opens files and counts frames, reader.py gives frames, srgb.py turns their
colors into sRGB, writer.py encodes, tracks.py carries sound and subtitles over. PyAV is imported
only when a video is met. Folders of frames and animations are in images/animation.py.
"""

from stylejax.images.video.container import check_available, is_video
from stylejax.images.video.reader import VideoReader
from stylejax.images.video.writer import VideoWriter

__all__ = ["VideoReader", "VideoWriter", "check_available", "is_video"]
