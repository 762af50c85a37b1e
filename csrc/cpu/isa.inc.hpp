// One object per instruction set: this file is included once by each isa_*.cpp, which is compiled with that
// set's flags. Nothing here may emit a weak symbol (std:: templates, inline functions outside the anonymous
// namespace): the linker could keep a copy with instructions that the machine lacks. A test checks it with nm.
#include <cstddef>
#include <cstdint>
#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif
#if defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
#include <cstring>
#define __builtin_memcpy memcpy
#if defined(_M_X64)
#define __SSE2__ 1
#endif
#endif
#if defined(_MSC_VER) && !defined(__clang__)
#define FD_NOINLINE __declspec(noinline)
#else
#define FD_NOINLINE __attribute__((noinline))
#endif
#include "arguments.hpp"

namespace fd {
namespace FD_ISA {
namespace {
#include "numbers.inc.hpp"
#include "vectors.inc.hpp"
#include "dilate.inc.hpp"
#include "sift.inc.hpp"
#include "filter.inc.hpp"
#include "count.inc.hpp"
#include "permuted.inc.hpp"
#include "pixels.inc.hpp"
#include "lanes.inc.hpp"
#include "net2vec.inc.hpp"
}  // namespace
}  // namespace FD_ISA
extern const Isa FD_ISA_TABLE;
const Isa FD_ISA_TABLE = {FD_ISA_NAME,           FD_ISA::sift_block,     FD_ISA::filter_block,
                          FD_ISA::count_unit,    FD_ISA::count_permuted, FD_ISA::scan_pixels,
                          FD_ISA::descend_image, FD_ISA::predict_image};
}  // namespace fd
