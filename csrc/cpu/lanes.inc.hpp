// Many floats at once, whatever the instruction set: GCC's and Clang's vector types, elsewhere a plain array
// (FD_PLAIN_LANES asks for it anywhere).
// Every lane is rounded by itself, so results do not depend on the number of lanes.
#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

#if (defined(__GNUC__) || defined(__clang__)) && !defined(FD_PLAIN_LANES)
#define FD_VECTOR_TYPES
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wpsabi"  // nothing here is called from outside
#endif
#define FD_INLINE inline __attribute__((always_inline))
typedef float Lanes __attribute__((vector_size(4 * kLanes)));
typedef int32_t IntLanes __attribute__((vector_size(4 * kLanes)));
typedef float LooseLanes __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));

FD_INLINE Lanes load(const float* p) { return *reinterpret_cast<const LooseLanes*>(p); }
FD_INLINE void store(float* p, Lanes x) { *reinterpret_cast<LooseLanes*>(p) = x; }
FD_INLINE Lanes all(float x) { return x - Lanes{}; }
FD_INLINE IntLanes all(int32_t x) { return x - IntLanes{}; }
FD_INLINE IntLanes bits_of(Lanes x) { return (IntLanes)x; }
FD_INLINE Lanes from_bits(IntLanes x) { return (Lanes)x; }
// lane i: a where bit i is set, else b
FD_INLINE Lanes choose(uint32_t bits, Lanes a, Lanes b) {
#if defined(__AVX512F__)
  return (Lanes)_mm512_mask_blend_ps(__mmask16(bits), (__m512)b, (__m512)a);
#else
  IntLanes one;
  for (int i = 0; i < kLanes; ++i) one[i] = 1 << i;
  const IntLanes own = (all(int32_t(bits)) & one) == one;
  return from_bits((bits_of(a) & own) | (bits_of(b) & ~own));
#endif
}
#else
#define FD_INLINE inline
struct Lanes {
  float at[kLanes];
};
struct IntLanes {
  int32_t at[kLanes];
};
#define FD_EACH(type, expression)                          \
  type r;                                                  \
  for (int i = 0; i < kLanes; ++i) r.at[i] = (expression); \
  return r
FD_INLINE Lanes load(const float* p) { FD_EACH(Lanes, p[i]); }
FD_INLINE void store(float* p, const Lanes& x) {
  for (int i = 0; i < kLanes; ++i) p[i] = x.at[i];
}
FD_INLINE Lanes all(float x) { FD_EACH(Lanes, x); }
FD_INLINE IntLanes all(int32_t x) { FD_EACH(IntLanes, x); }
FD_INLINE IntLanes bits_of(const Lanes& x) {
  IntLanes r;
  __builtin_memcpy(&r, &x, sizeof r);
  return r;
}
FD_INLINE Lanes from_bits(const IntLanes& x) {
  Lanes r;
  __builtin_memcpy(&r, &x, sizeof r);
  return r;
}
FD_INLINE Lanes choose(uint32_t bits, const Lanes& a, const Lanes& b) {
  FD_EACH(Lanes, bits >> i & 1 ? a.at[i] : b.at[i]);
}
FD_INLINE Lanes operator+(const Lanes& a, const Lanes& b) { FD_EACH(Lanes, a.at[i] + b.at[i]); }
FD_INLINE Lanes operator-(const Lanes& a, const Lanes& b) { FD_EACH(Lanes, a.at[i] - b.at[i]); }
FD_INLINE Lanes operator*(const Lanes& a, const Lanes& b) { FD_EACH(Lanes, a.at[i] * b.at[i]); }
FD_INLINE Lanes operator/(const Lanes& a, const Lanes& b) { FD_EACH(Lanes, a.at[i] / b.at[i]); }
FD_INLINE IntLanes operator+(const IntLanes& a, const IntLanes& b) {
  FD_EACH(IntLanes, int32_t(uint32_t(a.at[i]) + uint32_t(b.at[i])));
}
FD_INLINE IntLanes operator&(const IntLanes& a, const IntLanes& b) { FD_EACH(IntLanes, a.at[i] & b.at[i]); }
FD_INLINE IntLanes operator|(const IntLanes& a, const IntLanes& b) { FD_EACH(IntLanes, a.at[i] | b.at[i]); }
FD_INLINE IntLanes operator^(const IntLanes& a, const IntLanes& b) { FD_EACH(IntLanes, a.at[i] ^ b.at[i]); }
FD_INLINE IntLanes operator~(const IntLanes& a) { FD_EACH(IntLanes, ~a.at[i]); }
FD_INLINE IntLanes operator<<(const IntLanes& a, int n) { FD_EACH(IntLanes, int32_t(uint32_t(a.at[i]) << n)); }
#undef FD_EACH
#endif

// lane i: a where x is below 0 (or is -0), else b; by the sign bit
FD_INLINE Lanes where_negative(Lanes x, Lanes a, Lanes b) {
#if defined(FD_VECTOR_TYPES)
  const IntLanes own = bits_of(x) < 0;
  return from_bits((bits_of(a) & own) | (bits_of(b) & ~own));
#else
  Lanes r;
  for (int i = 0; i < kLanes; ++i) r.at[i] = bits_of(x).at[i] < 0 ? a.at[i] : b.at[i];
  return r;
#endif
}

// a > b ? a : b, lane by lane
FD_INLINE Lanes larger(Lanes a, Lanes b) {
#if defined(__AVX512F__) && defined(FD_VECTOR_TYPES)
  return (Lanes)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__) && defined(FD_VECTOR_TYPES)
  return (Lanes)_mm256_max_ps((__m256)a, (__m256)b);
#elif defined(FD_VECTOR_TYPES)
  const IntLanes own = a > b;
  return from_bits((bits_of(a) & own) | (bits_of(b) & ~own));
#else
  Lanes r;
  for (int i = 0; i < kLanes; ++i) r.at[i] = a.at[i] > b.at[i] ? a.at[i] : b.at[i];
  return r;
#endif
}

// exp(-|x|), from 1 down to 2**-125 (|x| beyond 86.6 counts as that): 2**(n + f) with n whole, |f| <= 0.5 and a
// polynomial for 2**f, whose relative error is below 2e-7. Each operation is rounded by itself.
FD_INLINE Lanes exp_minus_abs(Lanes x) {
  const Lanes magic = all(12582912.0f);  // 1.5 * 2**23: adding it rounds to a whole number, in the low bits
  const Lanes scaled = from_bits(bits_of(x) | all(int32_t(0x80000000u))) * all(1.44269502f);
  const Lanes t = larger(scaled, all(-125.0f));
  const Lanes whole = t + magic;
  const Lanes f = t - (whole - magic);
  Lanes p = all(0.0013264726148918271f) * f + all(0.009671512991189957f);
  p = p * f + all(0.05550733581185341f);
  p = p * f + all(0.24022242426872253f);
  p = p * f + all(0.6931470036506653f);
  p = p * f + all(1.0f);
  return from_bits(bits_of(p) + (bits_of(whole) << 23));
}
