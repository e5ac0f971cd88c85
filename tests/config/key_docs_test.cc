#include "control/config/key_docs.h"

#include <gmock/gmock.h>

#include <fstream>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "dataplane/functions/catalog.h"

namespace sluice {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string Contents(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_TRUE(file) << path;
  return text.str();
}

TEST(KeyDocs, TheReadmeIsUpToDate) {
  const std::string readme = Contents(SLUICE_CONFIG_README);
  const absl::StatusOr<std::string> made = WithReadmeTables(readme);
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(readme, *made) << "to update it, build the target config_readme";
}

TEST(KeyDocs, AReadmeWithoutMarkersIsRefused) {
  EXPECT_TRUE(absl::IsInvalidArgument(WithReadmeTables("# Configuration\n").status()));
}

TEST(KeyDocs, TheReadmeHasEveryKey) {
  const std::string tables = ReadmeTables();
  for (const KeyDoc& doc : KeyDocs()) {
    EXPECT_THAT(tables, testing::ContainsRegex(absl::StrCat("`\\[+", doc.table, "\\]+ ", doc.key, "`")));
  }
}

TEST(KeyDocs, TheManPageHasEveryKeyAndTheExample) {
  const std::string page = ManPage("1.2.3", "# a-b\\c\n.x = 'y'\n'z\n");
  for (const KeyDoc& doc : KeyDocs()) {
    EXPECT_THAT(page, HasSubstr(absl::StrCat("\n.TP\n.B ", doc.key, "\n")));
  }
  EXPECT_THAT(page, HasSubstr("\n.nf\n# a\\-b\\ec\n\\&.x = 'y'\n\\&'z\n.fi\n"))
      << "no line of the example may be a roff request";
  EXPECT_THAT(page, HasSubstr("Allowed: \"pass\" (to the kernel), \"drop\""));
  EXPECT_THAT(page, HasSubstr("Sluice 1.2.3"));
}

TEST(KeyDocs, EveryFunctionHasASection) {
  for (const FunctionDescriptor* function : Functions()) {
    EXPECT_THAT(ManPage("1", ""), HasSubstr(absl::StrCat("\n.SS type = \"", function->name, "\"\n")));
    for (const SettingSpec& spec : function->settings) {
      EXPECT_THAT(ManPage("1", ""), HasSubstr(absl::StrCat("\n.TP\n.B ", spec.name, "\n")));
      EXPECT_THAT(ReadmeTables(), Not(HasSubstr(absl::StrCat("`[function] ", spec.name, "`"))))
          << "a new function must not change the README";
    }
  }
}

TEST(KeyDocs, OfASetting) {
  constexpr SettingSpec kSettings[] = {{.name = "limit",
                                        .type = SettingType::kUnsigned,
                                        .default_text = "9",
                                        .help = "A limit.",
                                        .live = true,
                                        .least = 1,
                                        .most = 100}};
  const FunctionDescriptor function = {.name = "x",
                                       .summary = "",
                                       .least_ports = 1,
                                       .most_ports = 1,
                                       .admission = Admission::kOwnMac,
                                       .settings = kSettings};
  const std::vector<KeyDoc> docs = SettingDocs(function);
  ASSERT_EQ(docs.size(), 1u);
  EXPECT_EQ(docs[0].table, "function");
  EXPECT_EQ(docs[0].key, "limit");
  EXPECT_EQ(docs[0].values, "1 to 100");
  EXPECT_EQ(docs[0].standard, "9");
  EXPECT_TRUE(docs[0].live);
}

TEST(KeyDocs, TheBuildMakesTheManPage) {
  EXPECT_THAT(Contents(SLUICE_MAN_PAGE), HasSubstr(".TH SLUICE.TOML 5"));
  EXPECT_THAT(Contents(SLUICE_MAN_PAGE), HasSubstr("\n[[port]]\nname = \"wan\""));
}

}  // namespace
}  // namespace sluice
