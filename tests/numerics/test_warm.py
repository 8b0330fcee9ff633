import subprocess
import sys

import numpy as np
import torch

from napari_scribseg.core import Image, Scribbles, get_engine
from napari_scribseg.nets.quick_upsampling import QuickUpsampling
from napari_scribseg.numerics.warm import warm_up


def compiled_types():
    """Number of compiled versions of every kernel."""
    from numba.core.dispatcher import Dispatcher

    modules = [m for name, m in list(sys.modules.items()) if name.startswith("napari_scribseg.numerics.fused")]
    found = {
        f"{m.__name__}.{n}": len(f.signatures) for m in modules for n, f in vars(m).items() if isinstance(f, Dispatcher)
    }
    return {name: count for name, count in found.items() if not name.endswith("exp_negative")}


def test_after_the_warm_up_no_stroke_compiles_anything():
    warm_up()
    before = compiled_types()
    assert before
    for channels, model in ((1, "auto"), (3, "auto"), (1, "paper")):
        rng = np.random.default_rng(0)
        picture = rng.integers(0, 255, (70, 50, channels)).astype(np.uint8)
        picture.setflags(write=False)
        image = Image.from_array(picture, (1.0, 2.0))
        seeds = np.full((70, 50), -1, dtype=np.int32)
        seeds[5, 5:20], seeds[50, 5:20] = 0, 1
        engine = get_engine("svcd", model=model)
        result = engine.segment(image, Scribbles(seeds, 2), engine.prepare(image, "cpu"))
        seeds[60, 5:20] = 0
        engine.segment(image, Scribbles(seeds, 2), result.state)
    assert compiled_types() == before


def test_after_the_warm_up_no_gradient_of_upsampling_compiles_anything():
    warm_up()
    before = compiled_types()
    x = torch.rand(1, 5, 6, 7).contiguous(memory_format=torch.channels_last).requires_grad_()
    with QuickUpsampling():
        alone = torch.nn.functional.interpolate(x, scale_factor=2, mode="bilinear")
        joined = torch.cat((alone.detach(), alone), dim=1).contiguous(memory_format=torch.channels_last)
    for y in (alone, joined):
        assert torch.autograd.grad(y.square().sum(), x, retain_graph=True)[0].isfinite().all()
    assert compiled_types() == before


def test_warm_up_loads_no_torch():
    code = "import sys; from napari_scribseg.numerics.warm import warm_up; warm_up(); assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], timeout=300).returncode == 0
