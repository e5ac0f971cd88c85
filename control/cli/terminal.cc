#include "control/cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

namespace sluice::cli {
namespace {

std::string Environment(const char* name) {
  const char* value = getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

Style StyleOfOutput() {
  if (isatty(STDOUT_FILENO) != 1) {
    return {};
  }
  Style style;
  style.redraws = Environment("TERM") != "dumb";
  style.colours = style.redraws && Environment("NO_COLOR").empty();
  // A serial console says 0, and nobody knows then.
  if (winsize size{}; ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) {
    style.columns = size.ws_col;
  }
  return style;
}

}  // namespace sluice::cli
