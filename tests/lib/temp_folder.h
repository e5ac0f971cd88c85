// A new folder for a test. The destructor removes it with everything in it.
#ifndef SLUICE_TESTS_LIB_TEMP_FOLDER_H_
#define SLUICE_TESTS_LIB_TEMP_FOLDER_H_

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

namespace sluice {

class TempFolder {
 public:
  TempFolder() {
    std::string name = "/tmp/sluice-test-XXXXXX";
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    path_ = name;
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_LIB_TEMP_FOLDER_H_
