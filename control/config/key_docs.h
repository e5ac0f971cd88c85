// The documentation made from KeyDocs(): the man page and the README's table. Pure.
#ifndef SLUICE_CONTROL_CONFIG_KEY_DOCS_H_
#define SLUICE_CONTROL_CONFIG_KEY_DOCS_H_

#include <string>

namespace sluice {

// sluice.toml(5) in the man macros of groff_man(7). `example`: the text of sluice.toml.example.
std::string ManPage(const std::string& version, const std::string& example);
// Markdown; ends with a newline.
std::string ReadmeTable();

}  // namespace sluice

#endif  // SLUICE_CONTROL_CONFIG_KEY_DOCS_H_
