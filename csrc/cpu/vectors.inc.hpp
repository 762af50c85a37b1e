// The few vector idioms that compilers do not find by themselves: compare many floats, get bits.
// Each has a plain meaning, given first; the intrinsics pay 3-5 x in sift and count (bench/README.md).

// bit i = x[i] > threshold, for i < n <= 64
inline uint64_t above_bits(const float* x, std::ptrdiff_t n, float threshold) {
  uint64_t bits = 0;
  std::ptrdiff_t i = 0;
#if defined(__AVX512F__)
  const __m512 t = _mm512_set1_ps(threshold);
  for (; i + 16 <= n; i += 16) bits |= uint64_t(_mm512_cmp_ps_mask(_mm512_loadu_ps(x + i), t, _CMP_GT_OQ)) << i;
#elif defined(__AVX2__)
  const __m256 t = _mm256_set1_ps(threshold);
  for (; i + 8 <= n; i += 8)
    bits |= uint64_t(uint32_t(_mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(x + i), t, _CMP_GT_OQ)))) << i;
#elif defined(__SSE2__)
  const __m128 t = _mm_set1_ps(threshold);
  for (; i + 4 <= n; i += 4) bits |= uint64_t(uint32_t(_mm_movemask_ps(_mm_cmpgt_ps(_mm_loadu_ps(x + i), t)))) << i;
#endif
  for (; i < n; ++i) bits |= uint64_t(x[i] > threshold) << i;
  return bits;
}

// bit i = !(x[i] <= thresholds[i]), for i < n <= 64: NaN on either side passes
inline uint64_t not_below_bits(const float* x, const float* thresholds, std::ptrdiff_t n) {
  uint64_t bits = 0;
  std::ptrdiff_t i = 0;
#if defined(__AVX2__)
  for (; i + 8 <= n; i += 8)
    bits |= uint64_t(uint32_t(_mm256_movemask_ps(
                _mm256_cmp_ps(_mm256_loadu_ps(x + i), _mm256_loadu_ps(thresholds + i), _CMP_NLE_UQ))))
            << i;
#elif defined(__SSE2__)
  for (; i + 4 <= n; i += 4)
    bits |= uint64_t(uint32_t(_mm_movemask_ps(_mm_cmpnle_ps(_mm_loadu_ps(x + i), _mm_loadu_ps(thresholds + i))))) << i;
#endif
  for (; i < n; ++i) bits |= uint64_t(!(x[i] <= thresholds[i])) << i;
  return bits;
}

// bit i = first + difference * weights[i] > threshold, for i < n <= 64; product and sum rounded apart
inline uint64_t lerp_bits(float first, float difference, const float* weights, std::ptrdiff_t n, float threshold) {
  uint64_t bits = 0;
  std::ptrdiff_t i = 0;
#if defined(__AVX2__)
  const __m256 a = _mm256_set1_ps(first), d = _mm256_set1_ps(difference), t = _mm256_set1_ps(threshold);
  for (; i + 8 <= n; i += 8) {
    const __m256 v = _mm256_add_ps(a, _mm256_mul_ps(d, _mm256_loadu_ps(weights + i)));
    bits |= uint64_t(uint32_t(_mm256_movemask_ps(_mm256_cmp_ps(v, t, _CMP_GT_OQ)))) << i;
  }
#elif defined(__SSE2__)
  const __m128 a = _mm_set1_ps(first), d = _mm_set1_ps(difference), t = _mm_set1_ps(threshold);
  for (; i + 4 <= n; i += 4) {
    const __m128 v = _mm_add_ps(a, _mm_mul_ps(d, _mm_loadu_ps(weights + i)));
    bits |= uint64_t(uint32_t(_mm_movemask_ps(_mm_cmpgt_ps(v, t)))) << i;
  }
#endif
  for (; i < n; ++i) {
    const float product = difference * weights[i];
    bits |= uint64_t(first + product > threshold) << i;
  }
  return bits;
}

// row[i] = upper[i] + (lower[i] - upper[i]) * weight for i < n <= 64; bit i = row[i] > threshold. All three arrays may
// be read (and row written) up to the next multiple of 8: they have that slack.
inline uint64_t lerp_row(const float* upper, const float* lower, float weight, float threshold, float* row,
                         std::ptrdiff_t n) {
  uint64_t bits = 0;
  std::ptrdiff_t i = 0;
#if defined(__AVX2__)
  const __m256 w = _mm256_set1_ps(weight), t = _mm256_set1_ps(threshold);
  for (; i < n; i += 8) {
    const __m256 a = _mm256_loadu_ps(upper + i);
    const __m256 v = _mm256_add_ps(a, _mm256_mul_ps(_mm256_sub_ps(_mm256_loadu_ps(lower + i), a), w));
    _mm256_storeu_ps(row + i, v);
    bits |= uint64_t(uint32_t(_mm256_movemask_ps(_mm256_cmp_ps(v, t, _CMP_GT_OQ)))) << i;
  }
#elif defined(__SSE2__)
  const __m128 w = _mm_set1_ps(weight), t = _mm_set1_ps(threshold);
  for (; i < n; i += 4) {
    const __m128 a = _mm_loadu_ps(upper + i);
    const __m128 v = _mm_add_ps(a, _mm_mul_ps(_mm_sub_ps(_mm_loadu_ps(lower + i), a), w));
    _mm_storeu_ps(row + i, v);
    bits |= uint64_t(uint32_t(_mm_movemask_ps(_mm_cmpgt_ps(v, t)))) << i;
  }
#endif
  for (; i < n; ++i) {
    const float product = (lower[i] - upper[i]) * weight;
    row[i] = upper[i] + product;
    bits |= uint64_t(row[i] > threshold) << i;
  }
  return n < 64 ? bits & ((uint64_t(1) << n) - 1) : bits;
}

// Lane sums and maximum of a contiguous map: lane l adds x[l], x[l + 16], ... in this order.
inline void lanes_of(const float* x, std::ptrdiff_t n, float* lanes, float* top) {
  std::ptrdiff_t p = 0;
#if defined(__AVX512F__)
  __m512 sum = _mm512_setzero_ps(), best = _mm512_set1_ps(-infinity());
  for (; p + 16 <= n; p += 16) {
    const __m512 v = _mm512_loadu_ps(x + p);
    sum = _mm512_add_ps(sum, v);
    best = _mm512_max_ps(v, best);
  }
  _mm512_storeu_ps(lanes, sum);
  float tops[16];
  _mm512_storeu_ps(tops, best);
  constexpr int width = 16;
#elif defined(__AVX2__)
  __m256 sum0 = _mm256_setzero_ps(), sum1 = sum0, best = _mm256_set1_ps(-infinity());
  for (; p + 16 <= n; p += 16) {
    const __m256 a = _mm256_loadu_ps(x + p), b = _mm256_loadu_ps(x + p + 8);
    sum0 = _mm256_add_ps(sum0, a);
    sum1 = _mm256_add_ps(sum1, b);
    best = _mm256_max_ps(b, _mm256_max_ps(a, best));
  }
  _mm256_storeu_ps(lanes, sum0);
  _mm256_storeu_ps(lanes + 8, sum1);
  float tops[8];
  _mm256_storeu_ps(tops, best);
  constexpr int width = 8;
#else
  float tops[16];
  for (int l = 0; l < 16; ++l) lanes[l] = 0.0f, tops[l] = -infinity();
  for (; p + 16 <= n; p += 16)
    for (int l = 0; l < 16; ++l) {
      const float v = x[p + l];
      lanes[l] += v;
      tops[l] = v > tops[l] ? v : tops[l];
    }
  constexpr int width = 16;
#endif
  float high = -infinity();
  for (int l = 0; p + l < n; ++l) {
    lanes[l] += x[p + l];
    high = x[p + l] > high ? x[p + l] : high;
  }
  for (int l = 0; l < width; ++l) high = tops[l] > high ? tops[l] : high;
  *top = high;
}

// (i + (i + 8)), then 4, 2, 1
inline float add_lanes(const float* lanes) {
  float s[8];
  for (int i = 0; i < 8; ++i) s[i] = lanes[i] + lanes[i + 8];
  for (int i = 0; i < 4; ++i) s[i] += s[i + 4];
  return (s[0] + s[2]) + (s[1] + s[3]);
}

// Population count of a & b. AVX2 has no such instruction: nibbles are looked up, bytes summed by vpsadbw, which takes
// half the time of one popcnt a word (bench/README.md); with AVX-512 the compiler finds vpopcntq in the plain loop.
inline uint64_t words_and(const uint64_t* a, const uint64_t* b, std::ptrdiff_t n) {
  uint64_t total = 0;
  std::ptrdiff_t i = 0;
#if defined(__AVX2__) && !defined(__AVX512VPOPCNTDQ__)
  const __m256i counts =
      _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
  const __m256i nibble = _mm256_set1_epi8(15);
  __m256i sum = _mm256_setzero_si256();
  for (; i + 4 <= n; i += 4) {
    const __m256i both = _mm256_and_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(a + i)),
                                          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b + i)));
    const __m256i low = _mm256_shuffle_epi8(counts, _mm256_and_si256(both, nibble));
    const __m256i high = _mm256_shuffle_epi8(counts, _mm256_and_si256(_mm256_srli_epi16(both, 4), nibble));
    sum = _mm256_add_epi64(sum, _mm256_sad_epu8(_mm256_add_epi8(low, high), _mm256_setzero_si256()));
  }
  uint64_t parts[4];
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(parts), sum);
  total = parts[0] + parts[1] + parts[2] + parts[3];
#endif
  for (; i < n; ++i) total += uint64_t(popcount(a[i] & b[i]));
  return total;
}
