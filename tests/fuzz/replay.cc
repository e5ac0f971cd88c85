// Runs a fuzz target over every file of its corpus, SLUICE_CORPUS, for builds without libFuzzer.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

TEST(Replay, Corpus) {
  int inputs = 0;
  for (const auto& entry : std::filesystem::directory_iterator(SLUICE_CORPUS)) {
    // Printed first and unbuffered, since a target that finds something aborts.
    fprintf(stderr, "%s\n", entry.path().c_str());
    std::ifstream in(entry.path(), std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
    ++inputs;
  }
  EXPECT_GT(inputs, 0);
}
