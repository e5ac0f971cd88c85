# sluice_bpf_object(NAME SOURCE): compiles a BPF program. NAME.bpf.o in the current build folder, and
# include/FOLDER/NAME.skel.h below it, whose struct is NAME, where FOLDER is the source's folder in the tree: "bpf".
# Includes are written from the repository's root, here as in C++.
find_program(SLUICE_BPF_CLANG NAMES clang clang-14 clang-19 REQUIRED)
find_program(SLUICE_BPFTOOL NAMES bpftool PATHS /usr/sbin /sbin REQUIRED)
# Drops DWARF, keeps BTF: a tenth of the size. Without it the objects are merely larger.
find_program(SLUICE_LLVM_STRIP NAMES llvm-strip llvm-strip-14 llvm-strip-19)

set(SLUICE_BPF_INCLUDES -I${PROJECT_SOURCE_DIR})
# asm/types.h lives in the multiarch folder, which clang does not search for -target bpf.
if(CMAKE_LIBRARY_ARCHITECTURE)
  list(APPEND SLUICE_BPF_INCLUDES -idirafter /usr/include/${CMAKE_LIBRARY_ARCHITECTURE})
endif()

function(sluice_bpf_object name source)
  cmake_path(RELATIVE_PATH CMAKE_CURRENT_SOURCE_DIR BASE_DIRECTORY ${PROJECT_SOURCE_DIR} OUTPUT_VARIABLE folder)
  set(object ${CMAKE_CURRENT_BINARY_DIR}/${name}.bpf.o)
  set(skeleton ${CMAKE_CURRENT_BINARY_DIR}/include/${folder}/${name}.skel.h)
  file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/include/${folder})
  set(strip_command "")
  if(SLUICE_LLVM_STRIP)
    set(strip_command COMMAND ${SLUICE_LLVM_STRIP} -g ${object})
  endif()
  # -mcpu=v3 (kernel 5.1): 32-bit compares and arithmetic, fewer instructions to verify.
  add_custom_command(
    OUTPUT ${object}
    COMMAND ${SLUICE_BPF_CLANG} -target bpf -mcpu=v3 -O2 -g -Wall -Werror
            -ffile-prefix-map=${PROJECT_SOURCE_DIR}=. ${SLUICE_BPF_INCLUDES} -MD -MF ${object}.d -MT ${object}
            -c ${source} -o ${object}
    ${strip_command}
    DEPENDS ${source}
    DEPFILE ${object}.d
    COMMENT "BPF ${name}.bpf.o"
    VERBATIM)
  # Written to another file first: a failed bpftool must not leave a header that looks up to date.
  add_custom_command(
    OUTPUT ${skeleton}
    COMMAND sh -c "\"$1\" gen skeleton \"$2\" name \"$3\" > \"$4.new\" && mv \"$4.new\" \"$4\""
            sh ${SLUICE_BPFTOOL} ${object} ${name} ${skeleton}
    DEPENDS ${object}
    COMMENT "BPF ${name}.skel.h"
    VERBATIM)
endfunction()
