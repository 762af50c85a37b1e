// count_permuted: one permutation of the images. The masks of image n meet the planes of image permutation[n].
//
// A mask is a range of words, since it is mostly one small blob; so is what a plane holds beside zeros:
//
//     mask          first .......... first + n
//     plane    from ............ to
//     looked at     [----------]
//
// The sums lie concept by concept, so that a plane's pass over an image's masks writes to one stretch of them.
// Bounds: a mask has at most 2**32 pixels, a sum over images stays below 2**63.

void count_permuted(const PermutedArguments& a, const int64_t* permutation, int64_t* unit_area, PermutedScratch& s) {
  for (std::ptrdiff_t n = 0; n < a.images; ++n) {
    const int64_t begin = a.image_start[n], end = a.image_start[n + 1], image = permutation[n];
    if (begin == end) continue;
    if (!a.present)
      for (std::ptrdiff_t i = 0; i < (end - begin) * a.categories; ++i) s.under[i] = 0;
    for (int64_t p = a.plane_start[image]; p < a.plane_start[image + 1]; ++p) {
      const int64_t row = a.word_row[p], from = a.plane_from[p], to = a.plane_to[p];
      int64_t* sums = s.sums + a.concept[p] * a.units;
      unsigned char* under = a.present ? nullptr : s.under + a.category[a.concept[p]];
      for (int64_t r = begin; r < end; ++r) {
        uint64_t shared = uint64_t(a.area[r]);
        if (row >= 0) {
          const int64_t first = a.first_word[r], last = first + (a.word_start[r + 1] - a.word_start[r]);
          const int64_t low = from > first ? from : first, high = to < last ? to : last;
          if (low >= high) continue;
          shared = words_and(a.mask_words + a.word_start[r] + (low - first), a.plane_words + row * a.words + low,
                             std::ptrdiff_t(high - low));
        }
        sums[a.unit[r]] += int64_t(shared);
        if (under && shared) under[(r - begin) * a.categories] = 1;
      }
    }
    for (int64_t r = begin; r < end; ++r) {
      int64_t* area = unit_area + a.unit[r] * a.categories;
      for (std::ptrdiff_t q = 0; q < a.categories; ++q) {
        const bool counts = a.present ? a.present[image * a.categories + q] : s.under[(r - begin) * a.categories + q];
        area[q] += counts ? a.area[r] : 0;
      }
    }
  }
}
