// Net2Vec (kernels/concept_masks.py says what is computed): one image of one task.
//
//     z [h, w]  ->  rows [h, W]  ->  s [H, W]        rows first along x, then along y: two taps each
//     d [h, w]  <-  sums [h, W]  <-  g [H, W]        the adjoint, g = d loss / d s
//
// Between the cell rows r and r + 1 lies a band of mask rows, s = rows[r] + (rows[r + 1] - rows[r]) * fraction, and
//
//     G = sum of g over the band, F = sum of g * fraction;  sums[r] += G - F, sums[r + 1] += F
//
// so that a column's pixels need four numbers in registers. Only the cells in which a unit is active hand their
// derivative on: pixels that no such cell reaches are passed over, whatever they are worth.

// 64 bits from bit `at` on; the word after them exists
inline uint64_t bits_at(const uint64_t* words, std::ptrdiff_t at) {
  const uint64_t* w = words + (at >> 6);
  const int shift = int(at & 63);
  return w[0] >> shift | (w[1] << 1) << (63 - shift);
}

// z, which cells matter, and which blocks of columns in each band; false: none does
inline bool gather(const MaskArguments& a, const float* weights, const bool* kept, float bias, std::ptrdiff_t image,
                   MaskScratch& s) {
  const std::ptrdiff_t cells = a.height * a.width;
  for (std::ptrdiff_t i = 0; i < cells; ++i) s.z[i] = bias, s.used[i] = a.bias;
  bool any = a.bias;
  for (int64_t e = a.image_start[image]; e < a.image_start[image + 1]; ++e) {
    const int32_t k = a.unit[e];
    if (kept && !kept[k]) continue;
    any = true;
    const std::ptrdiff_t at = a.cell[e] * a.spread;
    s.z[at] += weights[k];
    s.used[at] = 1;
  }
  if (!any) return false;
  uint64_t above = 0;
  for (std::ptrdiff_t r = 0; r < a.height; ++r) {
    uint64_t own = 0;
    for (std::ptrdiff_t c = 0; c < a.width; ++c) own |= a.cell_blocks[c] & (uint64_t(0) - s.used[r * a.width + c]);
    if (r > 0) s.bands[r - 1] = a.first_row[r - 1] < a.first_row[r] ? above | own : 0;
    above = own;
  }
  s.bands[a.height - 1] = 0;
  return true;
}

// rows[r][x] = z[r][c] + (z[r][c + 1] - z[r][c]) * fraction[x]; writes up to a vector more
inline void along_row(const MaskArguments& a, const float* z, float* row) {
  for (std::ptrdiff_t c = 0; c + 1 < a.width; ++c) {
    const Lanes left = all(z[c]), step = all(z[c + 1] - z[c]);
    for (std::ptrdiff_t x = a.first_column[c]; x < a.first_column[c + 1]; x += kLanes)
      store(row + x, left + step * load(a.column_fraction + x));
  }
}

// The band between cell rows r and r + 1, kLanes columns from x on.
template <bool kCrossEntropy>
FD_INLINE void descend_column(const MaskArguments& a, MaskScratch& s, std::ptrdiff_t r, std::ptrdiff_t x, float inside,
                              float outside) {
  const Lanes top = load(s.rows + r * a.padded + x);
  const Lanes step = load(s.rows + (r + 1) * a.padded + x) - top;
  const Lanes one = all(1.0f), in = all(inside), out = all(outside);
  Lanes sum = all(0.0f), weighted = all(0.0f);
  for (std::ptrdiff_t y = a.first_row[r]; y < a.first_row[r + 1]; ++y) {
    const Lanes fraction = all(a.row_fraction[y]);
    const Lanes value = top + step * fraction;
    const uint32_t bits = uint32_t(bits_at(s.label, y * a.columns + x));
    const Lanes e = exp_minus_abs(value), whole = one + e;
    Lanes slope;
    if (kCrossEntropy) {  // sigmoid(-s) on the concept, sigmoid(s) beside it
      const Lanes towards = from_bits(bits_of(value) ^ bits_of(choose(bits, all(-0.0f), all(0.0f))));
      slope = where_negative(towards, e, one) / whole;
    } else {  // sigmoid'(s)
      slope = e / (whole * whole);
    }
    const Lanes g = choose(bits, in, out) * slope;
    sum = sum + g;
    weighted = weighted + g * fraction;
  }
  float* upper = s.sums + r * a.padded + x;
  store(upper, load(upper) + (sum - weighted));
  store(upper + a.padded, load(upper + a.padded) + weighted);
}

template <bool kCrossEntropy>
inline void descend_bands(const MaskArguments& a, MaskScratch& s, float inside, float outside) {
  const std::ptrdiff_t blocks = a.padded / kColumns;
  for (std::ptrdiff_t r = 0; r + 1 < a.height; ++r)
    for (std::ptrdiff_t b = 0; b < blocks; ++b)
      if (s.bands[r] >> (b / a.group) & 1)
        for (std::ptrdiff_t x = b * kColumns; x < (b + 1) * kColumns; x += kLanes)
          descend_column<kCrossEntropy>(a, s, r, x, inside, outside);
}

// d[r][c] = sum of sums[r][x] * hat[c][x], in 16 lanes: lane i adds columns i, i + 16, ... in this order
inline float onto_cell(const MaskArguments& a, const MaskScratch& s, std::ptrdiff_t r, std::ptrdiff_t c) {
  Lanes lanes[kColumns / kLanes];
  for (auto& lane : lanes) lane = all(0.0f);
  const float *sums = s.sums + r * a.padded, *hat = a.hats + c * a.padded;
  for (std::ptrdiff_t b = a.first_block[c]; b < a.last_block[c]; ++b)
    for (std::ptrdiff_t i = 0; i < kColumns / kLanes; ++i) {
      const std::ptrdiff_t x = b * kColumns + i * kLanes;
      lanes[i] = lanes[i] + load(sums + x) * load(hat + x);
    }
#if defined(__AVX512F__) && defined(FD_VECTOR_TYPES)
  const __m512 whole = (__m512)lanes[0];
  return add_lanes(_mm512_castps512_ps256(whole), _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(whole), 1)));
#elif defined(__AVX2__) && defined(FD_VECTOR_TYPES)
  return add_lanes((__m256)lanes[0], (__m256)lanes[1]);
#else
  float flat[kColumns];
  for (std::ptrdiff_t i = 0; i < kColumns / kLanes; ++i) store(flat + i * kLanes, lanes[i]);
  return add_lanes(flat);
#endif
}

inline void spread_rows(const MaskArguments& a, MaskScratch& s) {
  bool above = false;
  for (std::ptrdiff_t r = 0; r < a.height; ++r) {
    const bool own = s.bands[r] != 0;
    if (own || above) along_row(a, s.z + r * a.width, s.rows + r * a.padded);
    above = own;
  }
}

// Adds the image's part of d loss / d weights to `gradient`, and of d loss / d bias to `bias_gradient`.
void descend_image(const MaskArguments& a, const float* weights, const bool* kept, float bias, std::ptrdiff_t image,
                   float inside, float outside, float* gradient, float* bias_gradient, MaskScratch& s) {
  if (!gather(a, weights, kept, bias, image, s)) return;
  spread_rows(a, s);
  for (std::ptrdiff_t i = 0; i < a.height * a.padded; ++i) s.sums[i] = 0;
  if (a.cross_entropy)
    descend_bands<true>(a, s, inside, outside);
  else
    descend_bands<false>(a, s, inside, outside);
  for (std::ptrdiff_t r = 0; r < a.height; ++r)
    for (std::ptrdiff_t c = 0; c < a.width; ++c)
      if (s.used[r * a.width + c]) s.d[r * a.width + c] = onto_cell(a, s, r, c);
  for (int64_t e = a.image_start[image]; e < a.image_start[image + 1]; ++e) {
    const int32_t k = a.unit[e];
    if (kept && !kept[k]) continue;
    gradient[k] += s.d[a.cell[e] * a.spread];
  }
  if (a.bias)
    for (std::ptrdiff_t i = 0; i < a.height * a.width; ++i) *bias_gradient += s.d[i];
}

// Pixels of the mask s > 0, and of those that are the concept's.
void predict_image(const MaskArguments& a, const float* weights, float bias, std::ptrdiff_t image, int64_t* area,
                   int64_t* shared, MaskScratch& s) {
  *area = *shared = 0;
  if (!gather(a, weights, nullptr, bias, image, s)) return;
  spread_rows(a, s);
  for (std::ptrdiff_t r = 0; r + 1 < a.height; ++r) {
    if (!s.bands[r]) continue;
    const float *top = s.rows + r * a.padded, *low = top + a.padded;
    for (std::ptrdiff_t y = a.first_row[r]; y < a.first_row[r + 1]; ++y) {
      for (std::ptrdiff_t x = 0; x < a.padded; x += kLanes) {
        const Lanes t = load(top + x);
        store(s.sums + x, t + (load(low + x) - t) * all(a.row_fraction[y]));
      }
      for (std::ptrdiff_t x = 0; x < a.columns; x += 64) {
        const std::ptrdiff_t n = a.columns - x < 64 ? a.columns - x : 64;
        const uint64_t mask = above_bits(s.sums + x, n, 0.0f);
        *area += popcount(mask);
        *shared += popcount(mask & bits_at(s.label, y * a.columns + x));
      }
    }
  }
}
