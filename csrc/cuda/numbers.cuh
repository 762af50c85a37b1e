// Numbers: order-preserving keys, exact widening of 16-bit floats, arithmetic rounded at every step.
// The meaning is fastdissect/kernels/keys.py's.
#pragma once
#include "port.cuh"

constexpr uint32_t kLowestKey = 0x007FFFFFu;  // -inf; a bound below it has no float: everything is above
constexpr uint32_t kZeroKey = 0x80000000u;
// The largest float below 2**127: the difference of two usable cells never overflows.
constexpr float kHuge = 170141173319264429905852091742258462720.0f;

// Never fused into a multiply-add, whatever the compiler's options: results are equal bit for bit everywhere.
__device__ inline float plus(float a, float b) { return __fadd_rn(a, b); }
__device__ inline float minus(float a, float b) { return __fsub_rn(a, b); }
__device__ inline float times(float a, float b) { return __fmul_rn(a, b); }
__device__ inline float over(float a, float b) { return __fdiv_rn(a, b); }

__device__ inline bool is_nan(float x) { return !(x == x); }
__device__ inline bool is_usable(float x) { return fabsf(x) <= kHuge; }  // false for NaN

// Key of a float: flip the sign bit of a positive number, all bits of a negative one; x + 0 first (-0 = +0).
__device__ inline uint32_t key_of(float x) {
  const uint32_t u = __float_as_uint(plus(x, 0.0f));
  return u ^ (uint32_t(int32_t(u) >> 31) | 0x80000000u);  // all ones for a negative, the sign bit for a positive
}
__device__ inline float from_key(uint32_t key) {
  return __uint_as_float(key & 0x80000000u ? key & 0x7FFFFFFFu : ~key);
}

struct Float32 {
  using Type = float;
  __device__ static float widen(Type v) { return v; }
  __device__ static Type nan() { return __uint_as_float(0x7FC00000u); }
};
struct Float16 {
  using Type = uint16_t;  // its bits
  __device__ static float widen(Type v) { return float_of_half(v); }
  __device__ static Type nan() { return 0x7E00u; }
};
struct Bfloat16 {
  using Type = uint16_t;  // its bits
  __device__ static float widen(Type v) { return __uint_as_float(uint32_t(v) << 16); }
  __device__ static Type nan() { return 0x7FC0u; }
};

// One kernel a dtype: FD_EACH_KIND(M) expands M(float32, Float32) M(float16, Float16) M(bfloat16, Bfloat16).
#define FD_EACH_KIND(M) M(float32, Float32) M(float16, Float16) M(bfloat16, Bfloat16)
