#!/usr/bin/env bash
# Builds llama-bench and llama-batched-bench with CUDA for Hopper from what pack_llama_cpp.py packed.
#
#   bench/build_llama_cpp.sh ARCHIVE DIRECTORY [JOBS]     DIRECTORY/bin/llama-bench, DIRECTORY/bin/llama-batched-bench
#
# Needs nvcc 12.8 or newer, CMake, ninja, a C++ compiler; cuBLAS from CUDA's toolkit or from the wheel nvidia-cublas.
# The options are llama.cpp's own defaults for a release (graphs, flash attention, early launches), for one card.
set -euo pipefail
archive=$(realpath "$1")
mkdir -p "$2"
directory=$(realpath "$2")
jobs=${3:-$(nproc)}

nvcc=$(command -v nvcc || ls /usr/local/cuda/bin/nvcc)
toolkit=$(realpath "$("$nvcc" --dryrun -x cu /dev/null 2>&1 | sed -n 's/^#\$ TOP=//p')")
packages=$(python3 -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
cublas=$(find -L "$toolkit" "$packages" ${CUBLAS_DIRECTORY:+"$CUBLAS_DIRECTORY"} -name 'libcublas.so.1[23]' \
  -not -path '*/stubs/*' 2>/dev/null | sed -n 1p)
[[ $cublas ]] || { echo "build_llama_cpp.sh: no libcublas below $toolkit, $packages or CUBLAS_DIRECTORY" >&2; exit 1; }
libraries=$(dirname "$cublas")

# One place with the compiler, cuBLAS and a driver to link against, as CMake looks for them.
tree=$directory/cuda
mkdir -p "$tree/lib/stubs" "$tree/include"
for part in bin nvvm; do ln -sfn "$toolkit/$part" "$tree/$part"; done
ln -sfn lib "$tree/lib64"
for headers in "$toolkit/include" "$toolkit/targets/x86_64-linux/include"; do
  if [[ -d $headers ]]; then cp -rsf "$(realpath "$headers")/." "$tree/include/"; fi
done
for header in "$libraries"/../include/cublas*.h; do ln -sfn "$(realpath "$header")" "$tree/include/$(basename "$header")"; done
[[ -e $tree/include/cublas_v2.h ]] || { echo "build_llama_cpp.sh: no cublas_v2.h beside $cublas" >&2; exit 1; }
for library in "$toolkit"/{lib,lib64,targets/x86_64-linux/lib}/libcud* "$libraries"/libcublas*.so*; do
  if [[ -e $library ]]; then ln -sfn "$(realpath "$library")" "$tree/lib/$(basename "$library")"; fi
done
for name in cublas cublasLt cudart; do
  if [[ ! -e $tree/lib/lib$name.so ]]; then ln -s "lib$name.so.${cublas##*.}" "$tree/lib/lib$name.so"; fi
done

tar -C "$directory" -xJf "$archive"
source=$directory/llama.cpp
{ grep -rhoE '\bcu(Mem|Device|Ctx|Get)[A-Za-z]+(_v[0-9])?' "$source/ggml/src/ggml-cuda" | sort -u
  echo cuDeviceGet; } | sort -u | awk '{print "void " $1 "(void) {}"}' >"$directory/driver.c"
cc -shared -fPIC -w -Wl,-soname,libcuda.so.1 -o "$tree/lib/stubs/libcuda.so" "$directory/driver.c"

cmake -S "$source" -B "$directory" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF \
  -DGGML_CUDA=ON -DCMAKE_CUDA_ARCHITECTURES=90a-real -DCMAKE_CUDA_COMPILER="$nvcc" -DCUDAToolkit_ROOT="$tree" \
  -DCUDA_cuda_driver_LIBRARY="$tree/lib/stubs/libcuda.so" -DCUDA_cublas_LIBRARY="$tree/lib/libcublas.so" \
  -DCUDA_CUDART="$tree/lib/libcudart.so" -DCMAKE_CUDA_FLAGS="-I$tree/include" -DGGML_CUDA_FA_QUANTS=f16-f16 -DGGML_CUDA_NCCL=OFF \
  -DGGML_CUDA_COMPRESSION_MODE=size \
  -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_APP=OFF \
  -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_NUMBER=1 -DLLAMA_BUILD_COMMIT="$(cat "$source/REVISION")" \
  -DCMAKE_BUILD_RPATH="$tree/lib" -DCMAKE_EXE_LINKER_FLAGS="-Wl,--no-as-needed -Wl,--disable-new-dtags" >"$directory/configure.log" 2>&1 ||
  { tail -n 20 "$directory/configure.log" >&2; exit 1; }
cmake --build "$directory" -j "$jobs" --target llama-bench llama-batched-bench
