FROM python:3.12-slim

# The default index has PyTorch with CUDA for x86-64. For a small image on machines without a GPU, name PyTorch's
# own CPU index: docker build --build-arg TORCH_INDEX=<address> .
ARG TORCH_INDEX=""

RUN useradd --create-home --uid 1000 visitor
WORKDIR /home/visitor/app

COPY requirements.txt constraints.txt ./
RUN pip install --no-cache-dir --no-deps ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} --constraint constraints.txt torch \
    && pip install --no-cache-dir --constraint constraints.txt --requirement requirements.txt

# The app only reads its own folder, so the files stay root's; caches go to the visitor's home.
COPY . .

USER visitor
ENV GRADIO_ANALYTICS_ENABLED=False \
    GRADIO_SERVER_NAME=0.0.0.0 \
    GRADIO_SERVER_PORT=7860 \
    HF_HUB_DISABLE_TELEMETRY=1 \
    NUMBA_CACHE_DIR=/home/visitor/.cache/numba \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/', timeout=4).close()"]

CMD ["python", "app.py"]
