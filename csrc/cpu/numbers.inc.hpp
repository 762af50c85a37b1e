// Numbers: order-preserving keys, exact widening of 16-bit floats, population count.
// Included once per instruction set; see isa_*.cpp. Only <cstddef>, <cstdint> and intrinsics (see README).

inline uint32_t bits_of(float x) {
  uint32_t u;
  __builtin_memcpy(&u, &x, 4);
  return u;
}
inline float float_of(uint32_t u) {
  float x;
  __builtin_memcpy(&x, &u, 4);
  return x;
}

// Key of a float: flip the sign bit of a positive number, all bits of a negative one; x + 0 first (-0 = +0).
inline uint32_t key_of(float x) {
  const uint32_t u = bits_of(x + 0.0f);
  return u ^ (uint32_t(int32_t(u) >> 31) | 0x80000000u);  // all ones for a negative, the sign bit for a positive
}
inline float from_key(uint32_t key) { return float_of(key & 0x80000000u ? key & 0x7FFFFFFFu : ~key); }

constexpr uint32_t kLowestKey = 0x007FFFFFu;  // -inf; a bound below it has no float: everything is above
constexpr uint32_t kZeroKey = 0x80000000u;
// The largest float below 2**127: the difference of two usable cells never overflows.
constexpr float kHuge = 170141173319264429905852091742258462720.0f;

inline float infinity() { return float_of(0x7F800000u); }

inline float widen_half(uint16_t h) {
  // sign | 5 exponent bits | 10 mantissa bits; subnormals are scaled exactly by a multiplication
  const uint32_t sign = uint32_t(h & 0x8000u) << 16;
  const uint32_t body = h & 0x7FFFu;
  if (body >= 0x7C00u) return float_of(sign | 0x7F800000u | (body & 0x3FFu) << 13);
  if (body >= 0x0400u) return float_of(sign | ((body << 13) + 0x38000000u));
  return float_of(sign | bits_of(float(body) * 5.9604644775390625e-8f));  // 2**-24
}

struct Float32 {
  using Type = float;
  static float widen(float v) { return v; }
  static float nan() { return float_of(0x7FC00000u); }
};
struct Float16 {
  using Type = uint16_t;
  static float widen(uint16_t v) { return widen_half(v); }
  static uint16_t nan() { return 0x7E00u; }
};
struct Bfloat16 {
  using Type = uint16_t;
  static float widen(uint16_t v) { return float_of(uint32_t(v) << 16); }
  static uint16_t nan() { return 0x7FC0u; }
};

inline int popcount(uint64_t x) {
#if defined(__POPCNT__) || defined(__aarch64__)
  return __builtin_popcountll(x);
#else
  x -= (x >> 1) & 0x5555555555555555ull;
  x = (x & 0x3333333333333333ull) + ((x >> 2) & 0x3333333333333333ull);
  x = (x + (x >> 4)) & 0x0F0F0F0F0F0F0F0Full;
  return int((x * 0x0101010101010101ull) >> 56);
#endif
}

inline int lowest_bit(uint64_t x) {
#if defined(_MSC_VER) && !defined(__clang__)
  unsigned long i;
  _BitScanForward64(&i, x);
  return int(i);
#else
  return __builtin_ctzll(x);
#endif
}
