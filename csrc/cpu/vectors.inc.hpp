// The few vector idioms that compilers do not find by themselves: compare many floats, get bits.
// Each has a plain meaning, given first; the intrinsics pay 3-5 x in sift and count (bench/README.md).

// bit i = x[i] > threshold, for i < n <= 64
inline uint64_t above_bits(const float* x, std::ptrdiff_t n, float threshold) {
  uint64_t bits = 0;
  std::ptrdiff_t i = 0;
#if defined(__AVX512F__)
  const __m512 t = _mm512_set1_ps(threshold);
  for (; i + 16 <= n; i += 16) bits |= uint64_t(_mm512_cmp_ps_mask(_mm512_loadu_ps(x + i), t, _CMP_GT_OQ)) << i;
  if (i < n) {
    const __mmask16 own = __mmask16((1u << (n - i)) - 1);
    bits |= uint64_t(_mm512_mask_cmp_ps_mask(own, _mm512_maskz_loadu_ps(own, x + i), t, _CMP_GT_OQ)) << i;
  }
  return bits;
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

// The cells of a map of n <= 64 cells whose bits are set: their numbers and values. Returns how many; writes up to a
// vector more.
inline std::ptrdiff_t compress_map(const float* x, std::ptrdiff_t n, uint64_t bits, uint16_t* numbers, float* values) {
  std::ptrdiff_t used = 0;
#if defined(__AVX512F__)
  __m512i number = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  for (; bits; bits >>= 16, x += 16, n -= 16) {
    const auto chosen = __mmask16(bits & 0xFFFF);
    if (chosen) {
      const __mmask16 own = n < 16 ? __mmask16((1u << n) - 1) : __mmask16(0xFFFF);
      // compressed in registers: compressing into memory is slow on some processors
      _mm512_storeu_ps(values + used, _mm512_maskz_compress_ps(chosen, _mm512_maskz_loadu_ps(own, x)));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(numbers + used),
                          _mm512_cvtepi32_epi16(_mm512_maskz_compress_epi32(chosen, number)));
      used += popcount(chosen);
    }
    number = _mm512_add_epi32(number, _mm512_set1_epi32(16));
  }
#else
  (void)n;
  for (; bits; bits &= bits - 1) {
    const int i = lowest_bit(bits);
    numbers[used] = uint16_t(i);
    values[used++] = x[i];
  }
#endif
  return used;
}

// bit i = !(x[i] <= threshold), for i < n <= 64: NaN on either side passes
inline uint64_t not_below_bits(const float* x, std::ptrdiff_t n, float threshold) {
  uint64_t bits = 0;
  std::ptrdiff_t i = 0;
#if defined(__AVX512F__)
  const __m512 t = _mm512_set1_ps(threshold);
  for (; i + 16 <= n; i += 16) bits |= uint64_t(_mm512_cmp_ps_mask(_mm512_loadu_ps(x + i), t, _CMP_NLE_UQ)) << i;
  if (i < n) {
    const __mmask16 own = __mmask16((1u << (n - i)) - 1);
    bits |= uint64_t(_mm512_mask_cmp_ps_mask(own, _mm512_maskz_loadu_ps(own, x + i), t, _CMP_NLE_UQ)) << i;
  }
  return bits;
#elif defined(__AVX2__)
  const __m256 t = _mm256_set1_ps(threshold);
  for (; i + 8 <= n; i += 8)
    bits |= uint64_t(uint32_t(_mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(x + i), t, _CMP_NLE_UQ)))) << i;
#elif defined(__SSE2__)
  const __m128 t = _mm_set1_ps(threshold);
  for (; i + 4 <= n; i += 4) bits |= uint64_t(uint32_t(_mm_movemask_ps(_mm_cmpnle_ps(_mm_loadu_ps(x + i), t)))) << i;
#endif
  for (; i < n; ++i) bits |= uint64_t(!(x[i] <= threshold)) << i;
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

// The sum of 16 lanes: (i + (i + 8)), then 4, 2, 1.
inline float add_lanes(const float* lanes) {
  float s[8];
  for (int i = 0; i < 8; ++i) s[i] = lanes[i] + lanes[i + 8];
  for (int i = 0; i < 4; ++i) s[i] += s[i + 4];
  return (s[0] + s[2]) + (s[1] + s[3]);
}
#if defined(__AVX2__)
inline float add_lanes(__m256 low, __m256 high) {
  const __m256 eight = _mm256_add_ps(low, high);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
inline float top_of(__m256 best) {
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(best), _mm256_extractf128_ps(best, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
#endif

// Sum and maximum of a contiguous map: lane l adds x[l], x[l + 16], ... in this order, then the lanes are added. In
// the tail lanes without a cell keep their sums (x + 0 would turn -0 into +0). A NaN makes the sum NaN and is passed
// over by the maximum: max(v, best) is best where v is NaN.
inline void sum_and_top(const float* x, std::ptrdiff_t n, float* sum, float* top) {
  std::ptrdiff_t p = 0;
#if defined(__AVX512F__)
  __m512 lanes = _mm512_setzero_ps(), best = _mm512_set1_ps(-infinity());
  for (; p + 16 <= n; p += 16) {
    const __m512 v = _mm512_loadu_ps(x + p);
    lanes = _mm512_add_ps(lanes, v);
    best = _mm512_max_ps(v, best);
  }
  if (p < n) {
    const __mmask16 own = __mmask16((1u << (n - p)) - 1);
    const __m512 v = _mm512_maskz_loadu_ps(own, x + p);
    lanes = _mm512_mask_add_ps(lanes, own, lanes, v);
    best = _mm512_mask_max_ps(best, own, v, best);
  }
  const auto high = [](__m512 v) { return _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(v), 1)); };
  *sum = add_lanes(_mm512_castps512_ps256(lanes), high(lanes));
  *top = top_of(_mm256_max_ps(_mm512_castps512_ps256(best), high(best)));
#elif defined(__AVX2__)
  __m256 low = _mm256_setzero_ps(), high = low, best = _mm256_set1_ps(-infinity());
  for (; p + 16 <= n; p += 16) {
    const __m256 a = _mm256_loadu_ps(x + p), b = _mm256_loadu_ps(x + p + 8);
    low = _mm256_add_ps(low, a);
    high = _mm256_add_ps(high, b);
    best = _mm256_max_ps(b, _mm256_max_ps(a, best));
  }
  if (p < n) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const auto tail = [&](__m256& lanes, std::ptrdiff_t from) {
      const __m256i own = _mm256_cmpgt_epi32(_mm256_set1_epi32(int(n - from)), lane);
      const __m256 v = _mm256_maskload_ps(x + from, own), mask = _mm256_castsi256_ps(own);
      lanes = _mm256_blendv_ps(lanes, _mm256_add_ps(lanes, v), mask);
      best = _mm256_blendv_ps(best, _mm256_max_ps(v, best), mask);
    };
    tail(low, p);
    if (p + 8 < n) tail(high, p + 8);
  }
  *sum = add_lanes(low, high);
  *top = top_of(best);
#else
  float lanes[16], tops[16], best = -infinity();
  for (int l = 0; l < 16; ++l) lanes[l] = 0.0f, tops[l] = -infinity();
  for (; p + 16 <= n; p += 16)
    for (int l = 0; l < 16; ++l) {
      const float v = x[p + l];
      lanes[l] += v;
      tops[l] = v > tops[l] ? v : tops[l];
    }
  for (int l = 0; p + l < n; ++l) {
    lanes[l] += x[p + l];
    best = x[p + l] > best ? x[p + l] : best;
  }
  for (int l = 0; l < 16; ++l) best = tops[l] > best ? tops[l] : best;
  *sum = add_lanes(lanes);
  *top = best;
#endif
}

// Cells of a row that fit registers, so that a pixel's two cells are found by a permutation: 0 if none do.
#if defined(__AVX512F__) || defined(__AVX2__)
constexpr std::ptrdiff_t kRowCells = 16;
#else
constexpr std::ptrdiff_t kRowCells = 0;
#endif

// A row of at most kRowCells cells, interpolated; its pixels are found from it.
struct CellRow {
#if defined(__AVX512F__)
  __m512 cells;
  __mmask16 own;
  bool any_above(float t) const { return _mm512_mask_cmp_ps_mask(own, cells, _mm512_set1_ps(t), _CMP_GT_OQ) != 0; }
  // bit i = pixel from + i is above, for i < n <= 64; last: number of the row's last cell
  uint64_t pixels_above(const int32_t* start, const float* fractions, int32_t last, float t, std::ptrdiff_t,
                        std::ptrdiff_t from, std::ptrdiff_t n) const {
    uint64_t bits = 0;
    const __m512 threshold = _mm512_set1_ps(t);
    const __m512i end = _mm512_set1_epi32(last);
    for (std::ptrdiff_t i = 0; i < n; i += 16) {
      const __mmask16 own = n - i < 16 ? __mmask16((1u << (n - i)) - 1) : __mmask16(0xFFFF);
      const __m512i first = _mm512_maskz_loadu_epi32(own, start + from + i);
      const __m512 l = _mm512_permutexvar_ps(first, cells);
      const __m512 r =
          _mm512_permutexvar_ps(_mm512_min_epi32(_mm512_add_epi32(first, _mm512_set1_epi32(1)), end), cells);
      const __m512 v =
          _mm512_add_ps(l, _mm512_mul_ps(_mm512_sub_ps(r, l), _mm512_maskz_loadu_ps(own, fractions + from + i)));
      bits |= uint64_t(_mm512_mask_cmp_ps_mask(own, v, threshold, _CMP_GT_OQ)) << i;
    }
    return bits;
  }
  // pixels from ... to - 1: how many are above `high`; those in (low, high] are put to kept[count ...]
  int64_t split(const int32_t* start, const float* fractions, int32_t last, float low, float high, std::ptrdiff_t,
                std::ptrdiff_t from, std::ptrdiff_t to, float* kept, size_t& count) const {
    int64_t above = 0;
    const __m512i end = _mm512_set1_epi32(last);
    for (std::ptrdiff_t x = from; x < to; x += 16) {
      const __mmask16 own = to - x < 16 ? __mmask16((1u << (to - x)) - 1) : __mmask16(0xFFFF);
      const __m512i first = _mm512_maskz_loadu_epi32(own, start + x);
      const __m512 l = _mm512_permutexvar_ps(first, cells);
      const __m512 r =
          _mm512_permutexvar_ps(_mm512_min_epi32(_mm512_add_epi32(first, _mm512_set1_epi32(1)), end), cells);
      const __m512 v = _mm512_add_ps(l, _mm512_mul_ps(_mm512_sub_ps(r, l), _mm512_maskz_loadu_ps(own, fractions + x)));
      const __mmask16 over = _mm512_mask_cmp_ps_mask(own, v, _mm512_set1_ps(high), _CMP_GT_OQ);
      const __mmask16 between =
          _mm512_mask_cmp_ps_mask(own, v, _mm512_set1_ps(low), _CMP_GT_OQ) & __mmask16(~unsigned(over));
      above += popcount(over);
      if (between) {
        _mm512_storeu_ps(kept + count, _mm512_maskz_compress_ps(between, v));
        count += size_t(popcount(between));
      }
    }
    return above;
  }
#elif defined(__AVX2__)
  __m256 low, high;  // cells 0 ... 7 and 8 ... 15
  uint32_t own;
  static uint32_t above(__m256 values, __m256 threshold) {
    return uint32_t(_mm256_movemask_ps(_mm256_cmp_ps(values, threshold, _CMP_GT_OQ)));
  }
  __m256 at(__m256i cell, bool wide) const {
    const __m256 v = _mm256_permutevar8x32_ps(low, cell);
    if (!wide) return v;
    const __m256 beyond = _mm256_castsi256_ps(_mm256_cmpgt_epi32(cell, _mm256_set1_epi32(7)));
    return _mm256_blendv_ps(v, _mm256_permutevar8x32_ps(high, cell), beyond);
  }
  bool any_above(float t) const {
    const __m256 threshold = _mm256_set1_ps(t);
    return (above(low, threshold) | (own > 0xFF ? above(high, threshold) << 8 : 0)) & own;
  }
  // `pixels` >= 8: the last eight are read again rather than beyond the table
  uint64_t pixels_above(const int32_t* start, const float* fractions, int32_t last, float t, std::ptrdiff_t pixels,
                        std::ptrdiff_t from, std::ptrdiff_t n) const {
    uint64_t bits = 0;
    const __m256 threshold = _mm256_set1_ps(t);
    const __m256i end = _mm256_set1_epi32(last);
    for (std::ptrdiff_t i = 0; i < n; i += 8) {
      const std::ptrdiff_t late = from + i + 8 > pixels ? from + i + 8 - pixels : 0, p = from + i - late;
      const __m256i first = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(start + p));
      const __m256 l = at(first, last > 7);
      const __m256 r = at(_mm256_min_epi32(_mm256_add_epi32(first, _mm256_set1_epi32(1)), end), last > 7);
      const __m256 v = _mm256_add_ps(l, _mm256_mul_ps(_mm256_sub_ps(r, l), _mm256_loadu_ps(fractions + p)));
      bits |= uint64_t(above(v, threshold) >> late) << i;
    }
    return n < 64 ? bits & ((uint64_t(1) << n) - 1) : bits;
  }
  int64_t split(const int32_t* start, const float* fractions, int32_t last, float lower, float upper,
                std::ptrdiff_t pixels, std::ptrdiff_t from, std::ptrdiff_t to, float* kept, size_t& count) const {
    int64_t over = 0;
    const __m256i end = _mm256_set1_epi32(last);
    for (std::ptrdiff_t x = from; x < to; x += 8) {
      const std::ptrdiff_t late = x + 8 > pixels ? x + 8 - pixels : 0, p = x - late;
      const uint32_t own = (to - x < 8 ? (1u << (to - x)) - 1 : 0xFFu) << late;
      const __m256i first = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(start + p));
      const __m256 l = at(first, last > 7);
      const __m256 r = at(_mm256_min_epi32(_mm256_add_epi32(first, _mm256_set1_epi32(1)), end), last > 7);
      const __m256 v = _mm256_add_ps(l, _mm256_mul_ps(_mm256_sub_ps(r, l), _mm256_loadu_ps(fractions + p)));
      const uint32_t beyond = above(v, _mm256_set1_ps(upper)) & own;
      over += popcount(beyond);
      uint32_t between = above(v, _mm256_set1_ps(lower)) & own & ~beyond;
      if (!between) continue;
      float values[8];
      _mm256_storeu_ps(values, v);
      for (; between; between &= between - 1) kept[count++] = values[lowest_bit(between)];
    }
    return over;
  }
#else
  int64_t split(const int32_t*, const float*, int32_t, float, float, std::ptrdiff_t, std::ptrdiff_t, std::ptrdiff_t,
                float*, size_t&) const {
    return 0;
  }
  bool any_above(float) const { return false; }
  uint64_t pixels_above(const int32_t*, const float*, int32_t, float, std::ptrdiff_t, std::ptrdiff_t,
                        std::ptrdiff_t) const {
    return 0;
  }
#endif
};

// Two neighbouring rows of n <= kRowCells cells: at(w) is upper + (lower - upper) * w. Both may be read up to kRowCells
// cells (the map has that slack).
struct CellRows {
#if defined(__AVX512F__)
  __m512 upper, difference;
  __mmask16 own;
  CellRows(const float* first, const float* second, std::ptrdiff_t n)
      : upper(_mm512_loadu_ps(first)),
        difference(_mm512_sub_ps(_mm512_loadu_ps(second), upper)),
        own(__mmask16((1u << n) - 1)) {}
  CellRow at(float weight) const {
    return CellRow{_mm512_add_ps(upper, _mm512_mul_ps(difference, _mm512_set1_ps(weight))), own};
  }
#elif defined(__AVX2__)
  __m256 low, high, low_difference, high_difference;
  uint32_t own;
  CellRows(const float* first, const float* second, std::ptrdiff_t n)
      : low(_mm256_loadu_ps(first)),
        high(_mm256_loadu_ps(first + 8)),
        low_difference(_mm256_sub_ps(_mm256_loadu_ps(second), low)),
        high_difference(_mm256_sub_ps(_mm256_loadu_ps(second + 8), high)),
        own((1u << n) - 1) {}
  CellRow at(float weight) const {
    const __m256 w = _mm256_set1_ps(weight);
    return CellRow{_mm256_add_ps(low, _mm256_mul_ps(low_difference, w)),
                   _mm256_add_ps(high, _mm256_mul_ps(high_difference, w)), own};
  }
#else
  CellRows(const float*, const float*, std::ptrdiff_t) {}
  CellRow at(float) const { return CellRow(); }
#endif
};

// Population count of a & b. AVX2 has no such instruction: nibbles are looked up, bytes summed by vpsadbw, which takes
// half the time of one popcnt a word (bench/README.md).
inline uint64_t words_and(const uint64_t* a, const uint64_t* b, std::ptrdiff_t n) {
  uint64_t total = 0;
  std::ptrdiff_t i = 0;
#if defined(__AVX512VPOPCNTDQ__)
  __m512i sum = _mm512_setzero_si512();
  for (; i + 8 <= n; i += 8)
    sum = _mm512_add_epi64(sum,
                           _mm512_popcnt_epi64(_mm512_and_si512(_mm512_loadu_si512(a + i), _mm512_loadu_si512(b + i))));
  if (i < n) {
    const __mmask8 own = __mmask8((1u << (n - i)) - 1);
    sum = _mm512_add_epi64(sum, _mm512_popcnt_epi64(_mm512_and_si512(_mm512_maskz_loadu_epi64(own, a + i),
                                                                     _mm512_maskz_loadu_epi64(own, b + i))));
  }
  return uint64_t(_mm512_reduce_add_epi64(sum));
#elif defined(__AVX2__)
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
