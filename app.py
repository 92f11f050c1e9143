"""Start Hyperscope: `python app.py`, then open the address that it prints."""

import os

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy works beside torch; two thread pools would fight for the cores
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
if os.environ.get("SPACES_ZERO_GPU"):
    import spaces  # noqa: F401  must come before anything that touches CUDA


from explorer.site import build, launch

demo = build()

if __name__ == "__main__":
    launch(demo)
