"""Neural style transfer as pure JAX functions: the public names, for type checkers and editors."""

from stylejax.controls.color import preserve_color as preserve_color
from stylejax.deploy.export import export as export
from stylejax.errors import InputError as InputError
from stylejax.inference.stylizer import Stylizer as Stylizer
from stylejax.models.config import PRESETS as PRESETS
from stylejax.models.config import ModelConfig as ModelConfig
from stylejax.models.nets import init_params as init_params
from stylejax.models.padding import Edges as Edges
from stylejax.models.params import Params as Params
from stylejax.motion import Flow as Flow
from stylejax.motion import optical_flow as optical_flow
from stylejax.optimization.gram import optimize_image as optimize_image
from stylejax.optimization.gram import optimize_scales as optimize_scales
from stylejax.optimization.neighbors import optimize_neighbors as optimize_neighbors
from stylejax.optimization.refine import refine_neighbors as refine_neighbors
from stylejax.runtime.compilation_cache import enable_cache as enable_cache
from stylejax.runtime.jit import compiler_options as compiler_options
from stylejax.runtime.jit import reuse_memory as reuse_memory
from stylejax.temporal import FrameState as FrameState
from stylejax.temporal import first_state as first_state
from stylejax.temporal import next_frame as next_frame
from stylejax.transfer import ContentCode as ContentCode
from stylejax.transfer import StyleCode as StyleCode
from stylejax.transfer import discriminate as discriminate
from stylejax.transfer import encode_content as encode_content
from stylejax.transfer import encode_style as encode_style
from stylejax.transfer import generate as generate
from stylejax.transfer import reconstruct as reconstruct
from stylejax.transfer import sample_style as sample_style
from stylejax.transfer import sample_texture as sample_texture
from stylejax.transfer import stylize as stylize
from stylejax.weights.model_file import load_pretrained as load_pretrained
from stylejax.weights.model_file import save_weights as save_weights
from stylejax.weights.perceptual import load_vgg as load_vgg

__version__: str
