# Each fuzz target is built as a test that replays its corpus (a folder of the calling directory) and, if
# SLUICE_BUILD_FUZZERS is on, also as a fuzzer with libFuzzer.
set(SLUICE_FUZZ_REPLAY ${CMAKE_CURRENT_LIST_DIR}/replay.cc)

# sluice_fuzzer(NAME CORPUS LIBRARY...): NAME.cc, and its inputs in corpus/CORPUS.
function(sluice_fuzzer name corpus)
  add_executable(${name}_replay ${name}.cc ${SLUICE_FUZZ_REPLAY})
  target_compile_definitions(${name}_replay PRIVATE SLUICE_CORPUS="${CMAKE_CURRENT_SOURCE_DIR}/corpus/${corpus}")
  target_link_libraries(${name}_replay PRIVATE ${ARGN} GTest::gtest_main)
  # Tests are discovered, so that a build without this program, like the thread sanitizer's, has no such test.
  gtest_discover_tests(${name}_replay TEST_PREFIX ${name}. PROPERTIES LABELS unit)
  if(SLUICE_BUILD_FUZZERS)
    add_executable(${name} ${name}.cc)
    target_compile_options(${name} PRIVATE -fsanitize=fuzzer)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    target_link_libraries(${name} PRIVATE ${ARGN})
  endif()
endfunction()
