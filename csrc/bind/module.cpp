// The extension fastdissect._core: unwrap, release the GIL, call, wrap. Inputs were checked in Python.
#include "../cpu/features.hpp"
#include <optional>
#include <string>

#include "convert.hpp"

namespace fd {
namespace {

std::vector<const Isa*> available() {
  std::vector<const Isa*> found;
#ifdef FD_HAVE_X86_LEVELS
  const X86Features features;
  if (features.v4) found.push_back(&isa_v4);
  if (features.v3) found.push_back(&isa_v3);
#endif
  found.push_back(&isa_base);
  return found;
}

const Isa& isa_of(const std::string& name) {
  for (const Isa* isa : available())
    if (name == isa->name) return *isa;
  throw py::value_error("instruction set not available here: " + name);
}

py::tuple bind_sift(const std::string& isa, const py::array& data, const std::string& kind, In<uint32_t> bounds,
                    int reach, bool ring, bool omit, int threads) {
  SiftArguments a;
  a.view = view_of(data, kind);
  a.bounds = bounds.data(), a.reach = reach, a.ring = ring, a.omit = omit;
  py::array_t<float> means({a.view.images, a.view.units}), maxima({a.view.images, a.view.units});
  a.means = means.mutable_data(), a.maxima = maxima.mutable_data();
  const Isa& set = isa_of(isa);
  SiftResult r;
  {
    py::gil_scoped_release free;
    r = sift(set, a, threads);
  }
  const bool wide = a.view.height * a.view.width > 65536;
  return py::make_tuple(to_tuple(std::move(r.sparse), a.view.kind, wide), means, maxima, to_array(r.missing), r.fault);
}

py::tuple bind_sift_codes(In<int64_t> indices, In<float> values, std::ptrdiff_t units, std::ptrdiff_t height,
                          std::ptrdiff_t width, In<uint32_t> bounds, int reach, bool ring, bool omit, int threads) {
  const Codes c{indices.data(), values.data(), indices.shape(0), units, height, width, indices.shape(2)};
  py::array_t<float> means({c.images, units}), maxima({c.images, units});
  float *to_means = means.mutable_data(), *to_maxima = maxima.mutable_data();
  SiftResult r;
  {
    py::gil_scoped_release free;
    r = sift_codes(c, bounds.data(), reach, ring, omit, to_means, to_maxima, threads);
  }
  const bool wide = height * width > 65536;
  return py::make_tuple(to_tuple(std::move(r.sparse), kFloat32, wide), means, maxima, to_array(r.missing), r.fault);
}

py::tuple bind_filter(const std::string& isa, const py::array& data, const std::string& kind, In<uint32_t> bounds,
                      bool omit, int threads) {
  const View view = view_of(data, kind);
  const Isa& set = isa_of(isa);
  FilterResult r;
  {
    py::gil_scoped_release free;
    r = filter(set, view, bounds.data(), omit, threads);
  }
  return py::make_tuple(to_array(std::move(r.start)), to_array(std::move(r.values), data.dtype()), to_array(r.missing),
                        r.fault);
}

py::tuple bind_prune(const py::list& parts, const std::string& kind, bool wide, std::ptrdiff_t units,
                     std::ptrdiff_t height, std::ptrdiff_t width, In<uint32_t> bounds, int reach, bool ring,
                     int threads) {
  const auto views = parts_of(parts);
  const Kind k = kind_of(kind);
  Sparse s;
  {
    py::gil_scoped_release free;
    s = prune(views, k, wide, units, height, width, bounds.data(), reach, ring, threads);
  }
  return to_tuple(std::move(s), k, wide);
}

py::tuple bind_join(const py::list& parts, const std::string& kind, In<uint32_t> bounds, int threads) {
  const auto views = values_of(parts);
  const Kind k = kind_of(kind);
  Joined j;
  {
    py::gil_scoped_release free;
    j = join(views, k, bounds.shape(0), bounds.data(), threads);
  }
  return py::make_tuple(to_array(std::move(j.start)), to_array(std::move(j.values), value_dtype(k)));
}

py::array_t<uint32_t> bind_select(const py::list& parts, const std::string& kind, In<uint32_t> bounds,
                                  In<int64_t> ranks, int threads) {
  const auto views = values_of(parts);
  py::array_t<uint32_t> chosen({ranks.shape(0), ranks.shape(1)});
  uint32_t* to = chosen.mutable_data();
  const Kind k = kind_of(kind);
  py::gil_scoped_release free;
  select(views, k, ranks.shape(0), bounds.data(), ranks.data(), ranks.shape(1), to, threads);
  return chosen;
}

py::array_t<uint32_t> bind_raise(const py::list& parts, const std::string& kind, In<uint32_t> bounds, int64_t rank,
                                 int threads) {
  const auto views = values_of(parts);
  py::array_t<uint32_t> risen(bounds.shape(0));
  uint32_t* to = risen.mutable_data();
  const Kind k = kind_of(kind);
  py::gil_scoped_release free;
  raise_bounds(views, k, bounds.shape(0), bounds.data(), rank, to, threads);
  return risen;
}

py::array_t<uint32_t> bind_select_pixels(const std::string& isa, const py::list& parts, const std::string& kind,
                                         bool wide, std::ptrdiff_t height, std::ptrdiff_t width, const py::tuple& rows,
                                         const py::tuple& columns, bool ring, In<uint32_t> bounds, In<int64_t> ranks,
                                         int threads) {
  const auto views = parts_of(parts);
  In<float> keep_rows, keep_columns;
  const Axis r = axis_of(rows, keep_rows), c = axis_of(columns, keep_columns);
  py::array_t<uint32_t> chosen({ranks.shape(0), ranks.shape(1)});
  uint32_t* to = chosen.mutable_data();
  const Kind k = kind_of(kind);
  const Isa& set = isa_of(isa);
  py::gil_scoped_release free;
  select_pixels(set, views, k, wide, ranks.shape(0), height, width, r, c, ring, bounds.data(), ranks.data(),
                ranks.shape(1), to, threads);
  return chosen;
}

py::array_t<uint32_t> bind_raise_pixels(const std::string& isa, const py::list& parts, const std::string& kind,
                                        bool wide, std::ptrdiff_t height, std::ptrdiff_t width, const py::tuple& rows,
                                        const py::tuple& columns, bool ring, In<uint32_t> bounds, int64_t rank,
                                        int threads) {
  const auto views = parts_of(parts);
  In<float> keep_rows, keep_columns;
  const Axis r = axis_of(rows, keep_rows), c = axis_of(columns, keep_columns);
  py::array_t<uint32_t> risen(bounds.shape(0));
  uint32_t* to = risen.mutable_data();
  const Kind k = kind_of(kind);
  const Isa& set = isa_of(isa);
  py::gil_scoped_release free;
  raise_pixels(set, views, k, wide, bounds.shape(0), height, width, r, c, ring, bounds.data(), rank, to, threads);
  return risen;
}

py::tuple bind_histogram(const py::array& data, const std::string& kind, int shift,
                         const std::optional<In<uint32_t>>& prefix, In<int64_t> bins, int threads) {
  const View view = view_of(data, kind);
  std::vector<int64_t> missing(size_t(view.units), 0);
  const uint32_t* chosen = prefix ? prefix->data() : nullptr;
  int64_t* to = bins.mutable_data();
  uint64_t fault;
  {
    py::gil_scoped_release free;
    fault = histogram(view, shift, chosen, to, bins.shape(1), missing.data(), threads);
  }
  return py::make_tuple(to_array(missing), fault);
}

py::tuple bind_pack(const py::array& labels, In<int32_t> columns, bool once) {
  const bool wide = labels.itemsize() == 4;
  const std::ptrdiff_t channels = labels.shape(0), pixels = labels.shape(1) * labels.shape(2);
  Packed p;
  {
    py::gil_scoped_release free;
    p = pack(labels.data(), wide, channels, pixels, columns.data(), columns.shape(0), once);
  }
  const auto words = py::ssize_t((pixels + 63) / 64);
  const auto planes = p.unknown ? py::ssize_t(0) : py::ssize_t(p.concept_of.size());
  py::array flat = to_array(std::move(p.words));
  return py::make_tuple(to_array(p.concept_of), to_array(p.pixels), flat.attr("reshape")(py::make_tuple(planes, words)),
                        p.unknown);
}

// sparse: (unit_start, images, cell_start, cells, values); planes: (plane_start, concept, word_row, words)
void bind_count(const std::string& isa, const py::tuple& sparse, const std::string& kind, std::ptrdiff_t height,
                std::ptrdiff_t width, In<int64_t> cursor, int64_t first_image, In<float> thresholds,
                const py::tuple& rows, const py::tuple& columns, bool ring, const py::tuple& planes,
                In<int64_t> category, const std::optional<In<bool>>& present, In<int64_t> intersection,
                In<int64_t> unit_area, In<int64_t> mask_area, int threads) {
  CountArguments a{};
  In<float> keep_rows, keep_columns;
  a.kind = kind_of(kind);
  a.units = thresholds.shape(0), a.height = height, a.width = width;
  a.unit_start = sparse[0].cast<In<int64_t>>().data();
  a.images = sparse[1].cast<In<uint32_t>>().data();
  a.cell_start = sparse[2].cast<In<int64_t>>().data();
  const auto cells = sparse[3].cast<py::array>();
  a.cells = cells.data(), a.wide_cells = cells.itemsize() == 4;
  a.values = sparse[4].cast<py::array>().data();
  a.cursor = cursor.mutable_data(), a.first_image = first_image, a.thresholds = thresholds.data();
  a.rows = axis_of(rows, keep_rows), a.columns = axis_of(columns, keep_columns), a.ring = ring;
  const auto words = planes[3].cast<In<uint64_t>>();
  a.plane_images = planes[0].cast<In<int64_t>>().shape(0) - 1;
  a.words = words.shape(1), a.concepts = intersection.shape(1), a.categories = unit_area.shape(1);
  a.plane_start = planes[0].cast<In<int64_t>>().data();
  a.concept = planes[1].cast<In<int32_t>>().data();
  a.word_row = planes[2].cast<In<int64_t>>().data();
  a.plane_words = words.data(), a.category = category.data();
  a.present = present ? present->data() : nullptr;
  a.intersection = intersection.mutable_data();
  a.unit_area = unit_area.mutable_data();
  a.mask_area = mask_area.mutable_data();
  const Isa& set = isa_of(isa);
  py::gil_scoped_release free;
  count(set, a, threads);
}

// masks: (image_start, unit, area, first_word, word_start, words); planes: (plane_start, concept, word_row, words)
void bind_count_permuted(const std::string& isa, const py::tuple& masks, const py::tuple& planes,
                         In<int64_t> permutations, In<int64_t> category, const std::optional<In<bool>>& present,
                         In<int64_t> intersection, In<int64_t> unit_area, int threads) {
  PermutedArguments a{};
  a.images = permutations.shape(1), a.units = intersection.shape(1);
  a.concepts = intersection.shape(2), a.categories = unit_area.shape(2);
  a.image_start = masks[0].cast<In<int64_t>>().data();
  a.unit = masks[1].cast<In<int32_t>>().data();
  a.area = masks[2].cast<In<int64_t>>().data();
  a.first_word = masks[3].cast<In<int32_t>>().data();
  a.word_start = masks[4].cast<In<int64_t>>().data();
  a.mask_words = masks[5].cast<In<uint64_t>>().data();
  a.plane_start = planes[0].cast<In<int64_t>>().data();
  a.concept = planes[1].cast<In<int32_t>>().data();
  a.word_row = planes[2].cast<In<int64_t>>().data();
  const auto words = planes[3].cast<In<uint64_t>>();
  a.words = words.shape(1), a.plane_words = words.data();
  a.category = category.data(), a.present = present ? present->data() : nullptr;
  const int64_t* orders = permutations.data();
  int64_t *shared = intersection.mutable_data(), *area = unit_area.mutable_data();
  const std::ptrdiff_t count = permutations.shape(0);
  const Isa& set = isa_of(isa);
  py::gil_scoped_release free;
  count_permuted(set, a, orders, count, shared, area, threads);
}

// cells: (image_start, unit, cell); tables: (height, width, row_start, row_fraction, column_start, column_fraction);
// shown: (concept_start, image, row, words). The arrays live as long as their tuples do.
MaskArguments mask_arguments(const py::tuple& cells, std::ptrdiff_t map_width, const py::tuple& tables, MapTables& t,
                             const py::tuple& shown, ShownImages& s) {
  MaskArguments a{};
  a.image_start = cells[0].cast<In<int64_t>>().data();
  a.unit = cells[1].cast<In<int32_t>>().data(), a.cell = cells[2].cast<In<int32_t>>().data();
  t.height = tables[0].cast<std::ptrdiff_t>(), t.width = tables[1].cast<std::ptrdiff_t>();
  const auto rows = tables[2].cast<In<int32_t>>(), columns = tables[4].cast<In<int32_t>>();
  t.row_start = rows.data(), t.lines = rows.shape(0), t.row_fraction = tables[3].cast<In<float>>().data();
  t.column_start = columns.data(), t.columns = columns.shape(0);
  t.column_fraction = tables[5].cast<In<float>>().data();
  a.spread = map_width == 1 ? t.width : 1;
  const auto words = shown[3].cast<In<uint64_t>>();
  s.concept_start = shown[0].cast<In<int64_t>>().data();
  s.image = shown[1].cast<In<int64_t>>().data(), s.row = shown[2].cast<In<int64_t>>().data();
  s.words = words.data(), s.words_each = words.shape(1);
  return a;
}

// state: (concept, kept, inside, outside, weights, velocity, bias, bias_velocity);
// rule: (rate, momentum, batch, l1, l2, bias, positive, cross_entropy)
void bind_descend_masks(const std::string& isa, const py::tuple& cells, std::ptrdiff_t map_width,
                        const py::tuple& tables, const py::tuple& shown, const py::tuple& state, const py::tuple& rule,
                        In<int64_t> order, int threads) {
  MapTables t{};
  ShownImages s{};
  MaskArguments a = mask_arguments(cells, map_width, tables, t, shown, s);
  auto weights = state[4].cast<In<float>>(), velocity = state[5].cast<In<float>>();
  auto bias = state[6].cast<In<float>>(), bias_velocity = state[7].cast<In<float>>();
  const DescentState d{weights.shape(0),
                       weights.shape(1),
                       state[0].cast<In<int64_t>>().data(),
                       state[1].cast<In<bool>>().data(),
                       state[2].cast<In<float>>().data(),
                       state[3].cast<In<float>>().data(),
                       weights.mutable_data(),
                       velocity.mutable_data(),
                       bias.mutable_data(),
                       bias_velocity.mutable_data()};
  const DescentRule r{rule[0].cast<float>(), rule[1].cast<float>(),          rule[3].cast<float>(),
                      rule[4].cast<float>(), rule[2].cast<std::ptrdiff_t>(), rule[6].cast<bool>()};
  a.bias = rule[5].cast<bool>(), a.cross_entropy = rule[7].cast<bool>();
  const int64_t* first = order.data();
  const Isa& set = isa_of(isa);
  py::gil_scoped_release free;
  descend_masks(set, a, t, s, d, r, first, threads);
}

void bind_predict_masks(const std::string& isa, const py::tuple& cells, std::ptrdiff_t map_width,
                        const py::tuple& tables, const py::tuple& shown, In<int64_t> concept_of, In<int64_t> start,
                        In<float> weights, const std::optional<In<float>>& bias, In<int64_t> area, In<int64_t> shared,
                        int threads) {
  MapTables t{};
  ShownImages s{};
  MaskArguments a = mask_arguments(cells, map_width, tables, t, shown, s);
  a.bias = bias.has_value();
  const float *w = weights.data(), *b = bias ? bias->data() : nullptr;
  const int64_t *of = concept_of.data(), *from = start.data();
  int64_t *to = area.mutable_data(), *both = shared.mutable_data();
  const std::ptrdiff_t tasks = weights.shape(0), units = weights.shape(1);
  const Isa& set = isa_of(isa);
  py::gil_scoped_release free;
  predict_masks(set, a, t, s, of, from, tasks, units, w, b, to, both, threads);
}

}  // namespace
}  // namespace fd

PYBIND11_MODULE(_core, m, pybind11::mod_gil_not_used()) {
  using namespace fd;
  m.doc() = "Compiled kernels of fastdissect; see fastdissect/kernels/protocol.py for what each means.";
  m.def("instruction_sets", [] {
    std::vector<std::string> names;
    for (const Isa* isa : available()) names.emplace_back(isa->name);
    return names;
  });
  const auto nc = [](const char* name) { return py::arg(name).noconvert(); };
  m.def("sift", &bind_sift, py::arg("isa"), nc("data"), py::arg("kind"), nc("bounds"), py::arg("reach"),
        py::arg("ring"), py::arg("omit"), py::arg("threads"));
  m.def("sift_codes", &bind_sift_codes, nc("indices"), nc("values"), py::arg("units"), py::arg("height"),
        py::arg("width"), nc("bounds"), py::arg("reach"), py::arg("ring"), py::arg("omit"), py::arg("threads"));
  m.def("filter", &bind_filter, py::arg("isa"), nc("data"), py::arg("kind"), nc("bounds"), py::arg("omit"),
        py::arg("threads"));
  m.def("prune", &bind_prune, py::arg("parts"), py::arg("kind"), py::arg("wide"), py::arg("units"), py::arg("height"),
        py::arg("width"), nc("bounds"), py::arg("reach"), py::arg("ring"), py::arg("threads"));
  m.def("raise_bounds", &bind_raise, py::arg("parts"), py::arg("kind"), nc("bounds"), py::arg("rank"),
        py::arg("threads"));
  m.def("join", &bind_join, py::arg("parts"), py::arg("kind"), nc("bounds"), py::arg("threads"));
  m.def("select", &bind_select, py::arg("parts"), py::arg("kind"), nc("bounds"), nc("ranks"), py::arg("threads"));
  m.def("select_pixels", &bind_select_pixels, py::arg("isa"), py::arg("parts"), py::arg("kind"), py::arg("wide"),
        py::arg("height"), py::arg("width"), py::arg("rows"), py::arg("columns"), py::arg("ring"), nc("bounds"),
        nc("ranks"), py::arg("threads"));
  m.def("raise_pixels", &bind_raise_pixels, py::arg("isa"), py::arg("parts"), py::arg("kind"), py::arg("wide"),
        py::arg("height"), py::arg("width"), py::arg("rows"), py::arg("columns"), py::arg("ring"), nc("bounds"),
        py::arg("rank"), py::arg("threads"));
  m.def("histogram", &bind_histogram, nc("data"), py::arg("kind"), py::arg("shift"), nc("prefix"), nc("bins"),
        py::arg("threads"));
  m.def("pack", &bind_pack, nc("labels"), nc("columns"), py::arg("once"));
  m.def("count", &bind_count, py::arg("isa"), py::arg("sparse"), py::arg("kind"), py::arg("height"), py::arg("width"),
        nc("cursor"), py::arg("first_image"), nc("thresholds"), py::arg("rows"), py::arg("columns"), py::arg("ring"),
        py::arg("planes"), nc("category"), nc("present"), nc("intersection"), nc("unit_area"), nc("mask_area"),
        py::arg("threads"));
  m.def("count_permuted", &bind_count_permuted, py::arg("isa"), py::arg("masks"), py::arg("planes"), nc("permutations"),
        nc("category"), nc("present"), nc("intersection"), nc("unit_area"), py::arg("threads"));
  m.def("descend_masks", &bind_descend_masks, py::arg("isa"), py::arg("cells"), py::arg("map_width"), py::arg("tables"),
        py::arg("shown"), py::arg("state"), py::arg("rule"), nc("order"), py::arg("threads"));
  m.def("predict_masks", &bind_predict_masks, py::arg("isa"), py::arg("cells"), py::arg("map_width"), py::arg("tables"),
        py::arg("shown"), nc("concept"), nc("start"), nc("weights"), nc("bias"), nc("area"), nc("shared"),
        py::arg("threads"));
}
