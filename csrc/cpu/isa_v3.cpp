// The kernels for x86-64-v3. Compiled with its own flags (CMakeLists.txt).
#define FD_ISA v3
#define FD_ISA_NAME "cpp-v3"
#define FD_ISA_TABLE isa_v3
#include "isa.inc.hpp"
