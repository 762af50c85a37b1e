// The kernels for x86-64-v4. Compiled with its own flags (CMakeLists.txt).
#define FD_ISA v4
#define FD_ISA_NAME "cpp-v4"
#define FD_ISA_TABLE isa_v4
#include "isa.inc.hpp"
