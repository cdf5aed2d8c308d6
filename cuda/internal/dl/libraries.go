package dl

// The libraries that Descent knows, with CUDA 13's and CUDA 12's names.
var (
	Driver = Spec{
		Name:    "NVIDIA's driver",
		Sonames: []string{"libcuda.so.1"},
		Dirs:    []string{"/usr/lib/wsl/lib", "/usr/local/nvidia/lib64", "/usr/local/nvidia/lib"},
		How:     "install NVIDIA's driver for this GPU (in a container, start it with its GPUs: docker run --gpus all)",
	}
	NVRTC = Spec{
		Name:      "NVRTC",
		Sonames:   []string{"libnvrtc.so.13", "libnvrtc.so.12"},
		CUDAMajor: true,
		Preload:   []string{"libnvrtc-builtins.so.*"},
		How:       "pip install nvidia-cuda-nvrtc (for CUDA 12 nvidia-cuda-nvrtc-cu12), or install the CUDA toolkit",
	}
	CuBLASLt = Spec{
		Name:      "cuBLASLt",
		Sonames:   []string{"libcublasLt.so.13", "libcublasLt.so.12"},
		CUDAMajor: true,
		How:       "pip install nvidia-cublas (for CUDA 12 nvidia-cublas-cu12), or install the CUDA toolkit",
	}
	CuDNN = Spec{
		Name:    "cuDNN",
		Sonames: []string{"libcudnn.so.9"},
		Needs:   []Spec{NVRTC, CuBLASLt}, // its parts open these by plain name
		Preload: []string{"libcudnn_graph.so.9", "libcudnn_ops.so.9", "libcudnn_*.so.9"},
		How:     "pip install nvidia-cudnn-cu13 (for CUDA 12 nvidia-cudnn-cu12)",
	}
	NCCL = Spec{
		Name:    "NCCL",
		Sonames: []string{"libnccl.so.2"},
		How:     "pip install nvidia-nccl-cu13 (for CUDA 12 nvidia-nccl-cu12)",
	}
)
