// sift: one read of each activation. Usable test, mean, maximum; cells within `reach` of one above are kept.
//
// The fast path reads a map once, for 16 lane sums and the maximum, and stops there unless the maximum is
// above the bound (some 5 % of the maps). The sum also serves as the usable test: with a maximum <= 1e30 and
// a sum within +-1e35, no cell of a map of up to 2**26 cells can be NaN, infinite or 2**127 or beyond (positive
// cells add up to at most 7e37, so a cell of -2**127 or below would pull the sum below -1e38). Otherwise the map is
// looked through cell by cell.

inline bool is_plain(std::ptrdiff_t cells, float sum, float top) {
  return cells <= std::ptrdiff_t(1) << 26 && top <= 1e30f && sum >= -1e35f && sum <= 1e35f;
}

template <typename T>
FD_NOINLINE bool sift_map(const SiftArguments& a, const FlatMap& flat, std::ptrdiff_t image, std::ptrdiff_t unit,
                          const float* x, float sum, float top, SiftScratch& s, std::ptrdiff_t& record,
                          std::ptrdiff_t& used) {
  using V = typename T::Type;
  const View& v = a.view;
  const std::ptrdiff_t cells = v.height * v.width, words = (v.width + 63) / 64, bit_words = v.height * words;
  const std::ptrdiff_t at = image * v.units + unit;
  const uint32_t bound = a.bounds[unit];
  const bool plain = is_plain(cells, sum, top);
  std::ptrdiff_t bad = 0;
  if (!plain) {
    float lanes[16] = {0};
    top = -infinity();
    for (std::ptrdiff_t p = 0; p < cells; ++p) {
      if (!(x[p] <= kHuge && x[p] >= -kHuge)) {
        if (!bad && !a.omit) {
          const uint64_t where = uint64_t(at) * uint64_t(cells) + uint64_t(p);
          if (where < s.fault) s.fault = where;
          return false;
        }
        ++bad;
        continue;
      }
      lanes[p % 16] += x[p];
      top = x[p] > top ? x[p] : top;
    }
    sum = add_lanes(lanes);
  }
  s.missing[unit] += bad;
  const bool none = bad == cells;
  a.means[at] = none ? float_of(0x7FC00000u) : sum / float(cells - bad);
  a.maxima[at] = none ? float_of(0x7FC00000u) : top + 0.0f;
  const bool ring = a.ring && bound < kZeroKey;
  if (!ring && (none || key_of(top) <= bound)) return false;

  const bool all = bound < kLowestKey;
  const float threshold = all ? 0.0f : from_key(bound);
  const auto usable = [&](std::ptrdiff_t p) { return plain || (x[p] <= kHuge && x[p] >= -kHuge); };
  // bits of n <= 64 cells from p on: above
  const auto above = [&](std::ptrdiff_t p, std::ptrdiff_t n) {
    if (plain && !all) return above_bits(x + p, n, threshold);
    uint64_t bits = 0;
    for (std::ptrdiff_t c = 0; c < n; ++c) bits |= uint64_t(usable(p + c) && (all || x[p + c] > threshold)) << c;
    return bits;
  };
  const V* data = static_cast<const V*>(v.data) + image * v.image_stride + unit * v.unit_stride;
  V* values = static_cast<V*>(s.values);
  const std::ptrdiff_t before = used;
  auto* wide = static_cast<uint32_t*>(s.cells);
  auto* narrow = static_cast<uint16_t*>(s.cells);
  const auto keep = [&](std::ptrdiff_t p, std::ptrdiff_t y, std::ptrdiff_t column) {
    if (s.wide_cells)
      wide[used] = uint32_t(p);
    else
      narrow[used] = uint16_t(p);
    values[used++] = usable(p) ? data[y * v.row_stride + column * v.column_stride] : V(T::nan());
  };
  if (flat.fits && !ring && v.row_stride == v.width * v.column_stride) {  // in one word, the cells evenly spaced
    const uint64_t bits = flat.dilate(above(0, cells));
    if (plain && v.column_stride == 1 && sizeof(V) == 4)
      used += compress_map(x, cells, bits, narrow + used, reinterpret_cast<float*>(values) + used);
    else
      for (uint64_t left = bits; left; left &= left - 1) keep(lowest_bit(left), 0, lowest_bit(left));
  } else {
    uint64_t *rows = s.bits, *kept = s.bits + bit_words;
    for (std::ptrdiff_t y = 0; y < v.height; ++y)
      for (std::ptrdiff_t i = 0; i < words; ++i)
        rows[y * words + i] = above(y * v.width + i * 64, v.width - i * 64 < 64 ? v.width - i * 64 : 64);
    dilate_rows(rows, kept, v.height, v.width, a.reach, ring);
    for (std::ptrdiff_t y = 0; y < v.height; ++y)
      for (std::ptrdiff_t i = 0; i < words; ++i)
        for (uint64_t bits = kept[y * words + i]; bits; bits &= bits - 1) {
          const std::ptrdiff_t column = i * 64 + lowest_bit(bits);
          keep(y * v.width + column, y, column);
        }
  }
  if (used == before) return false;
  s.records[record++] = Record{uint32_t(image), uint32_t(unit), uint32_t(used - before)};
  return true;
}

template <typename T>
inline std::ptrdiff_t sift_typed(const SiftArguments& a, std::ptrdiff_t image, std::ptrdiff_t first,
                                 std::ptrdiff_t last, SiftScratch& s) {
  using V = typename T::Type;
  const View& v = a.view;
  const std::ptrdiff_t cells = v.height * v.width;
  const V* base = static_cast<const V*>(v.data) + image * v.image_stride;
  std::ptrdiff_t record = 0, used = 0;
  const FlatMap flat(v.height, v.width, a.reach);
  const bool contiguous = (v.column_stride == 1 || v.width == 1) && (v.row_stride == v.width || v.height == 1);
  const auto gather = [&](std::ptrdiff_t unit) {
    const V* from = base + unit * v.unit_stride;
    float* to = s.map;
    for (std::ptrdiff_t y = 0; y < v.height; ++y)
      for (std::ptrdiff_t c = 0; c < v.width; ++c) *to++ = T::widen(from[y * v.row_stride + c * v.column_stride]);
    return static_cast<const float*>(s.map);
  };

  // most maps: plain, and nothing of it above
  const auto ends_here = [&](std::ptrdiff_t unit, float sum, float top) {
    if (a.ring || !is_plain(cells, sum, top) || key_of(top) > a.bounds[unit]) return false;
    a.means[image * v.units + unit] = sum / float(cells);
    a.maxima[image * v.units + unit] = top + 0.0f;
    return true;
  };
  if (v.unit_stride == 1 && last - first > 1 && !(contiguous && cells > 1)) {
    // Channels last: the units of a block lie side by side, so lanes are kept for all of them at once.
    const std::ptrdiff_t n = last - first;
    float tops[kBlockUnits];
    for (std::ptrdiff_t u = 0; u < n; ++u) tops[u] = -infinity();
    for (std::ptrdiff_t i = 0; i < 16 * kBlockUnits; ++i) s.lanes[i] = 0.0f;
    std::ptrdiff_t p = 0;
    for (std::ptrdiff_t y = 0; y < v.height; ++y)
      for (std::ptrdiff_t c = 0; c < v.width; ++c, ++p) {
        const V* from = base + first + y * v.row_stride + c * v.column_stride;
        float* lane = s.lanes + (p % 16) * kBlockUnits;
        if (n == kBlockUnits)
          for (std::ptrdiff_t u = 0; u < kBlockUnits; ++u) {
            const float x = T::widen(from[u]);
            lane[u] += x;
            tops[u] = x > tops[u] ? x : tops[u];
          }
        else
          for (std::ptrdiff_t u = 0; u < n; ++u) {
            const float x = T::widen(from[u]);
            lane[u] += x;
            tops[u] = x > tops[u] ? x : tops[u];
          }
      }
    for (int half = 8; half; half /= 2)
      for (std::ptrdiff_t i = 0; i < half * kBlockUnits; ++i) s.lanes[i] += s.lanes[i + half * kBlockUnits];
    for (std::ptrdiff_t u = 0; u < n; ++u) {
      const float sum = s.lanes[u], top = tops[u];
      if (!ends_here(first + u, sum, top))
        sift_map<T>(a, flat, image, first + u, gather(first + u), sum, top, s, record, used);
    }
    return record;
  }
  for (std::ptrdiff_t unit = first; unit < last; ++unit) {
    const float* x;
    if (contiguous && sizeof(V) == 4)
      x = reinterpret_cast<const float*>(base + unit * v.unit_stride);
    else
      x = gather(unit);
    float sum, top;
    sum_and_top(x, cells, &sum, &top);
    if (!ends_here(unit, sum, top)) sift_map<T>(a, flat, image, unit, x, sum, top, s, record, used);
  }
  return record;
}

std::ptrdiff_t sift_block(const SiftArguments& a, std::ptrdiff_t image, std::ptrdiff_t first, std::ptrdiff_t last,
                          SiftScratch& s) {
  switch (a.view.kind) {
    case kFloat16:
      return sift_typed<Float16>(a, image, first, last, s);
    case kBfloat16:
      return sift_typed<Bfloat16>(a, image, first, last, s);
    default:
      return sift_typed<Float32>(a, image, first, last, s);
  }
}
