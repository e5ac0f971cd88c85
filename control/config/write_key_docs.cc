// Prints the documentation of the configuration's keys; part of the build, not installed.
//   write_key_docs readme           the README's table
//   write_key_docs man EXAMPLE PAGE writes sluice.toml(5) to PAGE, with EXAMPLE in it
#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>

#include "control/config/key_docs.h"

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "readme" && argc == 2) {
    fputs(sluice::ReadmeTable().c_str(), stdout);
    return 0;
  }
  if (what == "man" && argc == 4) {
    std::ifstream file(argv[2]);
    std::stringstream example;
    example << file.rdbuf();
    std::ofstream page(argv[3]);
    page << sluice::ManPage(SLUICE_VERSION, example.str());
    page.close();
    if (!file || !page) {
      fprintf(stderr, "write_key_docs: %s cannot be made of %s\n", argv[3], argv[2]);
      return 1;
    }
    return 0;
  }
  fputs("usage: write_key_docs readme | man EXAMPLE PAGE\n", stderr);
  return 2;
}
