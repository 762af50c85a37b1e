// pixels: the upsampled map of one record, scanned for its pixels above `high` (counted) and those above `low` but not
// above `high` (kept). The map's absent cells and its ring were filled in by the driver; see select.cpp.

inline float pixel_between(const Axis& axis, std::ptrdiff_t pixel, const float* cells, std::ptrdiff_t stride) {
  const auto at = [&](int tap) {
    const std::ptrdiff_t cell = axis.start[pixel] + tap;
    return cells[(cell < axis.cells ? cell : axis.cells - 1) * stride];
  };
  if (axis.lerp) {
    const float product = (at(1) - at(0)) * axis.weights[2 * pixel + 1];
    return at(0) + product;
  }
  float sum = at(0) * axis.weights[pixel * axis.taps];
  for (int tap = 1; tap < axis.taps; ++tap) {
    const float product = at(tap) * axis.weights[pixel * axis.taps + tap];
    sum += product;
  }
  return sum;
}

int64_t scan_pixels(const PixelMap& m, float low, float high, PixelScratch& s) {
  const Axis &rows = m.rows, &columns = m.columns;
  const bool lerp = rows.lerp && columns.lerp;
  std::ptrdiff_t from = 0, to = columns.pixels, top = 0, bottom = rows.pixels;
  if (lerp) {  // a pixel above lies between cells of which one is above
    if (m.first_row > m.last_row) return 0;
    const std::ptrdiff_t upper = m.first_row > 0 ? m.first_row - 1 : 0;
    const std::ptrdiff_t left = m.first_column > 0 ? m.first_column - 1 : 0;
    top = rows.first[upper], bottom = rows.first[m.last_row + 1];
    from = columns.first[left], to = columns.first[m.last_column + 1];
  }
  int64_t above = 0;
  if (lerp && columns.cells <= kRowCells && columns.pixels >= 8) {
    for (std::ptrdiff_t y = top; y < bottom;) {
      const std::ptrdiff_t t = rows.start[y], b = t + 1 < rows.cells ? t + 1 : t;
      const CellRows between(m.cells + t * columns.cells, m.cells + b * columns.cells, columns.cells);
      for (const std::ptrdiff_t end = rows.first[t + 1]; y < end; ++y) {
        const CellRow row = between.at(rows.weights[2 * y + 1]);
        if (row.any_above(low))
          above += row.split(columns.start, columns.fractions, int32_t(columns.cells - 1), low, high, columns.pixels,
                             from, to, s.kept, s.count);
      }
    }
    return above;
  }
  for (std::ptrdiff_t y = top; y < bottom; ++y) {
    for (std::ptrdiff_t c = 0; c < columns.cells; ++c) s.row[c] = pixel_between(rows, y, m.cells + c, columns.cells);
    for (std::ptrdiff_t x = from; x < to; ++x) {
      const float value = pixel_between(columns, x, s.row, 1);
      above += value > high;
      s.kept[s.count] = value;
      s.count += value > low && !(value > high);
    }
  }
  return above;
}
