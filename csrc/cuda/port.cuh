// What differs between nvcc, NVRTC and the tests' host shim, in one place. Device code only: no host headers, no
// `std::`, no launches. Kernels take pointers and int64_t alone, so that a launch cannot get a width wrong.
#pragma once

#if defined(FD_HOST_SHIM)  // tests/cuda_on_host: the same source, one fibre a CUDA thread
#include "shim.hpp"
#elif defined(__CUDACC_RTC__)  // NVRTC has no host headers
using int8_t = signed char;
using uint8_t = unsigned char;
using int16_t = short;
using uint16_t = unsigned short;
using int32_t = int;
using uint32_t = unsigned int;
using int64_t = long long;
using uint64_t = unsigned long long;
#else
#include <cstdint>
#endif

#define FD_KERNEL extern "C" __global__ void

// Dynamic shared memory is all that a kernel has; its size is the launch's.
#if defined(FD_HOST_SHIM)
#define FD_SHARED(TYPE, NAME) TYPE* NAME = reinterpret_cast<TYPE*>(shim::shared_memory())
#else
#define FD_SHARED(TYPE, NAME)                     \
  extern __shared__ __align__(16) unsigned char fd_shared_memory[]; \
  TYPE* NAME = reinterpret_cast<TYPE*>(fd_shared_memory)
#endif

// A float16's bits as a float, exactly (subnormals too).
#if defined(FD_HOST_SHIM)
inline float float_of_half(uint16_t bits) { return shim::float_of_half(bits); }
#else
__device__ inline float float_of_half(uint16_t bits) {
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));  // cuda_fp16.h does this too, but NVRTC has no such header
  return value;
}
#endif

// CUDA's 64-bit atomics are declared for `unsigned long long`, which int64_t and uint64_t may not be.
__device__ inline void add_to(int64_t* sum, int64_t value) {
  atomicAdd(reinterpret_cast<unsigned long long*>(sum), static_cast<unsigned long long>(value));
}
__device__ inline void lower_to(uint64_t* least, uint64_t value) {
  atomicMin(reinterpret_cast<unsigned long long*>(least), static_cast<unsigned long long>(value));
}

constexpr unsigned kFullWarp = 0xFFFFFFFFu;
