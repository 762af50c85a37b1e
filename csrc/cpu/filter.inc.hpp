// filter: the values above each unit's bound, nothing else. Scratch row u takes unit first + u.

template <typename T>
inline void filter_typed(const View& v, const uint32_t* bounds, bool omit, std::ptrdiff_t image, std::ptrdiff_t first,
                         std::ptrdiff_t last, FilterScratch& s) {
  using V = typename T::Type;
  const std::ptrdiff_t cells = v.height * v.width;
  const V* base = static_cast<const V*>(v.data) + image * v.image_stride;
  V* values = static_cast<V*>(s.values);
  float thresholds[kBlockUnits];
  for (std::ptrdiff_t u = 0; u < last - first; ++u) {
    s.counts[u] = 0;
    // !(x <= t) lets NaN through, to be looked at; "no bound yet" is a NaN, so everything passes
    thresholds[u] = bounds[first + u] < kLowestKey ? float_of(0x7FC00000u) : from_key(bounds[first + u]);
  }
  const auto take = [&](std::ptrdiff_t u, std::ptrdiff_t p, V value) {
    const float x = T::widen(value);
    if (x == x) {
      values[u * cells + s.counts[u]++] = value;
      return;
    }
    ++s.missing[first + u];
    const uint64_t where = (uint64_t(image) * uint64_t(v.units) + uint64_t(first + u)) * uint64_t(cells) + uint64_t(p);
    if (!omit && where < s.fault) s.fault = where;
  };

  if (v.unit_stride == 1 && last - first > 1) {  // channels last: one position of many units at a time
    std::ptrdiff_t p = 0;
    for (std::ptrdiff_t y = 0; y < v.height; ++y)
      for (std::ptrdiff_t c = 0; c < v.width; ++c, ++p) {
        const V* from = base + first + y * v.row_stride + c * v.column_stride;
        float x[kBlockUnits];
        for (std::ptrdiff_t u = 0; u < last - first; ++u) x[u] = T::widen(from[u]);
        for (uint64_t bits = not_below_bits(x, thresholds, last - first); bits; bits &= bits - 1) {
          const std::ptrdiff_t u = lowest_bit(bits);
          take(u, p, from[u]);
        }
      }
    return;
  }
  const bool flat = (v.column_stride == 1 || v.width == 1) && (v.row_stride == v.width || v.height == 1);
  for (std::ptrdiff_t u = 0; u < last - first; ++u) {
    const V* from = base + (first + u) * v.unit_stride;
    const auto at = [&](std::ptrdiff_t i) {
      return flat ? from[i] : from[i / v.width * v.row_stride + i % v.width * v.column_stride];
    };
    for (std::ptrdiff_t p = 0; p < cells; p += 64) {
      const std::ptrdiff_t n = cells - p < 64 ? cells - p : 64;
      float widened[64];
      const float* x = widened;
      if (flat && sizeof(V) == 4)
        x = reinterpret_cast<const float*>(from + p);
      else if (flat)
        for (std::ptrdiff_t i = 0; i < n; ++i) widened[i] = T::widen(from[p + i]);
      else
        for (std::ptrdiff_t i = 0; i < n; ++i) widened[i] = T::widen(at(p + i));
      for (uint64_t bits = not_below_bits(x, n, thresholds[u]); bits; bits &= bits - 1) {
        const std::ptrdiff_t i = lowest_bit(bits);
        take(u, p + i, at(p + i));
      }
    }
  }
}

void filter_block(const View& v, const uint32_t* bounds, bool omit, std::ptrdiff_t image, std::ptrdiff_t first,
                  std::ptrdiff_t last, FilterScratch& s) {
  switch (v.kind) {
    case kFloat16:
      return filter_typed<Float16>(v, bounds, omit, image, first, last, s);
    case kBfloat16:
      return filter_typed<Bfloat16>(v, bounds, omit, image, first, last, s);
    default:
      return filter_typed<Float32>(v, bounds, omit, image, first, last, s);
  }
}
