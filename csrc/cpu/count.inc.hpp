// count: retained cells -> mask words -> AND with the label planes -> population count.
//
// The upsampled map and the unit mask never exist in memory but for one mask of one record, as bits. With lerp
// tables a pixel lies between its corners (fastdissect/upsampling.py), so between two neighbouring cells
//
//     both above T      -> the whole run of pixels is above        ....######....
//     neither           -> none is                                 ..............
//     one of them       -> the run is computed and compared        ...:::##......
//
// Bounds: a mask has at most 2**32 pixels, a sum over images stays below 2**63.

// Set the n <= 64 low bits of `bits` at bit `at` of the mask.
inline void put_bits(uint64_t* mask, std::ptrdiff_t at, uint64_t bits, std::ptrdiff_t n) {
  if (n < 64) bits &= (uint64_t(1) << n) - 1;
  mask[at >> 6] |= bits << (at & 63);
  if ((at & 63) + n > 64) mask[(at >> 6) + 1] |= bits >> (64 - (at & 63));
}

inline void put_ones(uint64_t* mask, std::ptrdiff_t at, std::ptrdiff_t n) {
  for (; n > 0; n -= 64, at += 64) put_bits(mask, at, ~uint64_t(0), n < 64 ? n : 64);
}

struct Extent {
  std::ptrdiff_t first_row, last_row, first_column, last_column;  // cells above T, inclusive; empty: first > last
};

// The runs of one pixel row between cells first ... first + n - 1 (and the one after): bits[i]: row[i] > threshold.
inline void lerp_runs(const Axis& columns, const float* row, uint64_t bits, std::ptrdiff_t first, std::ptrdiff_t n,
                      float threshold, uint64_t* mask, std::ptrdiff_t at) {
  const uint64_t inside = n < 64 ? (uint64_t(1) << n) - 1 : ~uint64_t(0);
  const uint64_t full = bits & bits >> 1 & inside;
  for (uint64_t active = (bits | bits >> 1) & inside; active;) {
    const int i = lowest_bit(active);
    const std::ptrdiff_t from = columns.first[first + i];
    if (full >> i & 1) {  // neighbouring full runs are one
      const uint64_t rest = ~(full >> i);
      const int length = rest ? lowest_bit(rest) : 64;
      put_ones(mask, at + from, columns.first[first + i + length] - from);
      active &= length + i < 64 ? ~uint64_t(0) << (length + i) : 0;
      continue;
    }
    active &= active - 1;
    const std::ptrdiff_t to = columns.first[first + i + 1];
    for (std::ptrdiff_t x = from; x < to; x += 64) {
      const std::ptrdiff_t pixels = to - x < 64 ? to - x : 64;
      put_bits(mask, at + x, lerp_bits(row[i], row[i + 1] - row[i], columns.fractions + x, pixels, threshold), pixels);
    }
  }
}

// The mask's words of one record by lerp tables; returns the half-open range of pixel rows written.
inline void lerp_mask(const CountArguments& a, float threshold, const Extent& e, CountScratch& s,
                      std::ptrdiff_t& first_pixel_row, std::ptrdiff_t& last_pixel_row) {
  const Axis &rows = a.rows, &columns = a.columns;
  // a row of cells reaches the pixel rows that start at it or at the one before
  const std::ptrdiff_t top = e.first_row > 0 ? e.first_row - 1 : 0;
  const std::ptrdiff_t left = e.first_column > 0 ? e.first_column - 1 : 0;
  first_pixel_row = rows.first[top];
  last_pixel_row = rows.first[e.last_row + 1];
  if (columns.cells <= kRowCells && columns.pixels >= 8) {  // a row of cells is one register: no runs
    const std::ptrdiff_t from = columns.first[left], to = columns.first[e.last_column + 1];
    for (std::ptrdiff_t t = top; t <= e.last_row; ++t) {  // the pixel rows between two rows of cells
      const std::ptrdiff_t b = t + 1 < rows.cells ? t + 1 : t;
      if (!(s.rows_above[t] | s.rows_above[b])) continue;
      const CellRows between(s.map + t * columns.cells, s.map + b * columns.cells, columns.cells);
      for (std::ptrdiff_t y = rows.first[t]; y < rows.first[t + 1]; ++y) {
        const CellRow row = between.at(rows.weights[2 * y + 1]);
        if (!row.any_above(threshold)) continue;
        for (std::ptrdiff_t x = from; x < to; x += 64) {
          const std::ptrdiff_t n = to - x < 64 ? to - x : 64;
          put_bits(s.mask, y * columns.pixels + x,
                   row.pixels_above(columns.start, columns.fractions, int32_t(columns.cells - 1), threshold,
                                    columns.pixels, x, n),
                   n);
        }
      }
    }
    return;
  }
  constexpr std::ptrdiff_t kWindow = 63;  // cells at a time, and the one after
  for (std::ptrdiff_t y = first_pixel_row; y < last_pixel_row; ++y) {
    const std::ptrdiff_t t = rows.start[y], b = t + 1 < rows.cells ? t + 1 : t;
    if (!(s.rows_above[t] | s.rows_above[b])) continue;
    const float weight = rows.weights[2 * y + 1];
    const float *upper = s.map + t * columns.cells, *lower = s.map + b * columns.cells;
    for (std::ptrdiff_t c = left; c <= e.last_column; c += kWindow) {
      const std::ptrdiff_t n = e.last_column + 1 - c < kWindow ? e.last_column + 1 - c : kWindow;
      const std::ptrdiff_t known = c + n < columns.cells ? n + 1 : n;
      uint64_t bits = lerp_row(upper + c, lower + c, weight, threshold, s.row, known);
      if (!bits) continue;
      if (known == n) {  // the last cell's second tap is itself
        s.row[n] = s.row[n - 1];
        bits |= (bits >> (n - 1) & 1) << n;
      }
      lerp_runs(columns, s.row, bits, c, n, threshold, s.mask, y * columns.pixels);
    }
  }
}

// The mask by tables of any taps, pixel by pixel: a pixel none of whose taps' cells is above is not above.
inline void taps_mask(const CountArguments& a, float threshold, CountScratch& s) {
  const Axis &rows = a.rows, &columns = a.columns;
  for (std::ptrdiff_t i = 0; i < rows.cells * columns.cells; ++i) s.above[i] = s.map[i] > threshold;
  const auto at = [](const Axis& axis, std::ptrdiff_t i, int tap) {
    const std::ptrdiff_t cell = axis.start[i] + tap;
    return cell < axis.cells ? cell : axis.cells - 1;
  };
  for (std::ptrdiff_t y = 0; y < rows.pixels; ++y) {
    for (std::ptrdiff_t c = 0; c < columns.cells; ++c) {
      const float first = s.map[at(rows, y, 0) * columns.cells + c];
      if (rows.lerp) {
        const float difference = s.map[at(rows, y, 1) * columns.cells + c] - first;
        const float product = difference * rows.weights[2 * y + 1];
        s.row[c] = first + product;
      } else {
        float sum = first * rows.weights[y * rows.taps];
        for (int k = 1; k < rows.taps; ++k) {
          const float product = s.map[at(rows, y, k) * columns.cells + c] * rows.weights[y * rows.taps + k];
          sum += product;
        }
        s.row[c] = sum;
      }
    }
    for (std::ptrdiff_t x = 0; x < columns.pixels; ++x) {
      float value = s.row[at(columns, x, 0)];
      if (columns.lerp) {
        const float product = (s.row[at(columns, x, 1)] - value) * columns.weights[2 * x + 1];
        value += product;
      } else {
        value *= columns.weights[x * columns.taps];
        for (int k = 1; k < columns.taps; ++k) {
          const float product = s.row[at(columns, x, k)] * columns.weights[x * columns.taps + k];
          value += product;
        }
      }
      if (!(value > threshold)) continue;
      bool any = false;
      for (int j = 0; j < rows.taps; ++j)
        for (int k = 0; k < columns.taps; ++k) any |= bool(s.above[at(rows, y, j) * columns.cells + at(columns, x, k)]);
      if (any) put_bits(s.mask, y * columns.pixels + x, 1, 1);
    }
  }
}

template <typename T, typename Cell>
inline void count_typed(const CountArguments& a, std::ptrdiff_t unit, CountScratch& s) {
  const auto* values = static_cast<const typename T::Type*>(a.values);
  const auto* cells = static_cast<const Cell*>(a.cells);
  const float threshold = a.thresholds[unit];
  const std::ptrdiff_t pitch = a.columns.cells;
  const bool lerp = a.rows.lerp && a.columns.lerp;
  const bool ring_above = a.ring && 0.0f > threshold;
  for (std::ptrdiff_t i = 0; i < a.rows.cells * pitch; ++i) s.map[i] = threshold;  // absent cells read as T
  for (std::ptrdiff_t y = 0; y < a.rows.cells; ++y) s.rows_above[y] = 0;
  if (a.ring)
    for (std::ptrdiff_t y = 0; y < a.rows.cells; ++y)
      for (std::ptrdiff_t x = 0; x < pitch; ++x)
        if (y == 0 || x == 0 || y == a.rows.cells - 1 || x == pitch - 1) s.map[y * pitch + x] = 0.0f;

  int64_t* intersection = a.intersection + unit * a.concepts;
  int64_t* unit_area = a.unit_area + unit * a.categories;
  int64_t r = a.cursor[unit];
  for (; r < a.unit_start[unit + 1]; ++r) {
    const int64_t image = int64_t(a.images[r]) - a.first_image;
    if (image >= a.plane_images) break;

    Extent e{a.rows.cells, -1, pitch, -1};
    for (int64_t j = a.cell_start[r]; j < a.cell_start[r + 1]; ++j) {
      const std::ptrdiff_t place = s.place[cells[j]];
      const float value = T::widen(values[j]);
      s.map[place] = value;
      if (value > threshold) {
        const std::ptrdiff_t y = s.row_of[cells[j]], x = place - y * pitch;
        s.rows_above[y] = 1;
        e.first_row = y < e.first_row ? y : e.first_row;
        e.last_row = y > e.last_row ? y : e.last_row;
        e.first_column = x < e.first_column ? x : e.first_column;
        e.last_column = x > e.last_column ? x : e.last_column;
      }
    }
    if (ring_above) {
      e = Extent{0, a.rows.cells - 1, 0, pitch - 1};
      for (std::ptrdiff_t y = 0; y < a.rows.cells; ++y) s.rows_above[y] = 1;
    }
    if (e.last_row >= 0) {
      std::ptrdiff_t first = 0, last = a.rows.pixels;
      if (lerp)
        lerp_mask(a, threshold, e, s, first, last);
      else
        taps_mask(a, threshold, s);
      const std::ptrdiff_t begin = first * a.columns.pixels / 64, end = (last * a.columns.pixels + 63) / 64;
      std::ptrdiff_t from = begin, to = end;
      while (from < to && !s.mask[from]) ++from;
      while (to > from && !s.mask[to - 1]) --to;
      const uint64_t area = words_and(s.mask + from, s.mask + from, to - from);
      a.mask_area[unit] += int64_t(area);
      if (area) {
        if (!a.present)
          for (std::ptrdiff_t q = 0; q < a.categories; ++q) s.under[q] = false;
        for (int64_t p = a.plane_start[image]; p < a.plane_start[image + 1]; ++p) {
          const int64_t row = a.word_row[p];
          uint64_t shared = area;
          if (row >= 0) {
            const std::ptrdiff_t low = a.plane_from[p] > from ? a.plane_from[p] : from;
            const std::ptrdiff_t high = a.plane_to[p] < to ? a.plane_to[p] : to;
            shared = low < high ? words_and(s.mask + low, a.plane_words + row * a.words + low, high - low) : 0;
          }
          intersection[a.concept[p]] += int64_t(shared);
          if (!a.present && shared) s.under[a.category[a.concept[p]]] = true;
        }
        const bool* counted = a.present ? a.present + image * a.categories : s.under;
        for (std::ptrdiff_t q = 0; q < a.categories; ++q) unit_area[q] += counted[q] ? int64_t(area) : 0;
      }
      for (std::ptrdiff_t i = begin; i < end; ++i) s.mask[i] = 0;
    }
    for (int64_t j = a.cell_start[r]; j < a.cell_start[r + 1]; ++j) {
      s.map[s.place[cells[j]]] = threshold;
      s.rows_above[s.row_of[cells[j]]] = 0;
    }
    if (ring_above)
      for (std::ptrdiff_t y = 0; y < a.rows.cells; ++y) s.rows_above[y] = 0;
  }
  a.cursor[unit] = r;
}

template <typename T>
inline void count_cells(const CountArguments& a, std::ptrdiff_t unit, CountScratch& s) {
  if (a.wide_cells)
    count_typed<T, uint32_t>(a, unit, s);
  else
    count_typed<T, uint16_t>(a, unit, s);
}

void count_unit(const CountArguments& a, std::ptrdiff_t unit, CountScratch& s) {
  switch (a.kind) {
    case kFloat16:
      return count_cells<Float16>(a, unit, s);
    case kBfloat16:
      return count_cells<Bfloat16>(a, unit, s);
    default:
      return count_cells<Float32>(a, unit, s);
  }
}
