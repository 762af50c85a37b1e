// The kernels for the compiler's baseline (SSE2 on x86-64, NEON on aarch64). Compiled with its own flags
// (CMakeLists.txt).
#define FD_ISA base
#define FD_ISA_NAME "cpp-base"
#define FD_ISA_TABLE isa_base
#include "isa.inc.hpp"
