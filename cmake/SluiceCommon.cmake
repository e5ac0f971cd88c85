# The flags that every target of the project is compiled with, as one interface library: sluice_common.
# Includes are written from the repository's root: "dataplane/lane/lane.h".
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

# The build presets let clones of one state share what they compile (CCACHE_BASEDIR: paths below a clone count as
# relative ones). Debuggers see the folder of the clone that compiled first.
find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

add_library(sluice_common INTERFACE)
target_include_directories(sluice_common INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(sluice_common INTERFACE -Wall -Wextra -Wno-missing-field-initializers
                                               -fno-strict-aliasing)
if(SLUICE_WARNINGS_ARE_ERRORS)
  target_compile_options(sluice_common INTERFACE -Werror)
endif()
if(SLUICE_BUILD_FUZZERS)
  # Coverage of the code under test, which is what guides the fuzzer.
  target_compile_options(sluice_common INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(SLUICE_SANITIZE)
  target_compile_options(sluice_common INTERFACE -fsanitize=${SLUICE_SANITIZE} -fno-omit-frame-pointer
                                                 -fno-sanitize-recover=all)
  target_link_options(sluice_common INTERFACE -fsanitize=${SLUICE_SANITIZE})
endif()
