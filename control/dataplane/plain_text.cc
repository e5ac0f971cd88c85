#include "control/dataplane/plain_text.h"

namespace sluice {
namespace {

bool IsContinuation(char c) {
  return (static_cast<unsigned char>(c) & 0xc0) == 0x80;
}

}  // namespace

std::string PlainText(absl::string_view text, size_t most) {
  size_t end = text.size() < most ? text.size() : most;
  while (end < text.size() && end > 0 && IsContinuation(text[end])) {
    --end;
  }
  std::string plain;
  plain.reserve(end);
  for (size_t i = 0; i < end; ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    // U+0080 to U+009F are 0xc2 and one of 0x80 to 0x9f.
    const bool is_c1 = c == 0xc2 && i + 1 < end && static_cast<unsigned char>(text[i + 1]) < 0xa0;
    plain.push_back(c < 0x20 || c == 0x7f || is_c1 ? '?' : text[i]);
    i += is_c1 ? 1 : 0;
  }
  return plain;
}

}  // namespace sluice
