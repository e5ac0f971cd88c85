// The one table of keys: the parser knows what it says, and the documentation is made from it.
#include "control/config/keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "control/config/config.h"
#include "control/config/config_diff.h"
#include "control/config/key_docs.h"

namespace sluice {
namespace {

using testing::HasSubstr;

std::string Contents(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_TRUE(file) << path;
  return text.str();
}

// A good configuration with one more line in that table.
std::string With(const std::string& table, const std::string& line) {
  const auto more = [&](const char* name) { return table == name ? line + "\n" : ""; };
  std::string text =
      absl::StrCat("[[port]]\nname = \"wan\"\nnetdev = \"eth1\"\n", more("port"), "[function]\ntype = \"reflect\"\n",
                   more("function"), "[dataplane]\n", more("dataplane"), "[metrics]\n", more("metrics"));
  return absl::StrCat(text, "[[rule]]\naction = \"pass\"\n", more("rule"));
}

std::string ProblemOf(const std::string& text) {
  return std::string(ParseConfig(text, "f").status().message());
}

TEST(Keys, AreTheOnesThatTheParserKnows) {
  std::map<std::string, std::vector<std::string>> keys;
  for (const KeyDoc& doc : KeyDocs()) {
    keys[doc.table].emplace_back(doc.key);
  }
  for (const auto& [table, names] : keys) {
    EXPECT_THAT(
        ProblemOf(With(table, "nosuchkey = 1")),
        testing::EndsWith(absl::StrCat(table, ".nosuchkey: unknown key; allowed: ", absl::StrJoin(names, ", "))));
  }
  for (const char* table : {"port", "dataplane", "function", "metrics", "rule"}) {
    EXPECT_EQ(keys.count(table), 1u) << table;
  }
  EXPECT_EQ(keys.size(), 5u);
}

// A wrong value of the keys that a good file may leave out: what is said to be allowed is what is documented.
TEST(Keys, AllowWhatIsDocumented) {
  size_t tried = 0;
  for (const KeyDoc& doc : KeyDocs()) {
    std::string allowed = doc.values;
    std::string value = "-1";
    if (!doc.words.empty()) {
      allowed = absl::StrJoin(doc.words, ", ", [](std::string* out, const KeyWord& word) { out->append(word.word); });
      value = "\"nonsense\"";
    } else if (std::string(doc.table) != "dataplane") {
      continue;
    } else if (std::string(doc.key) == "cores") {
      value = "[-1]";
    }
    std::string text = With(doc.table, absl::StrCat(doc.key, " = ", value));
    if (*doc.standard == '\0') {  // it is there already
      const std::string key(doc.key);
      const size_t line = text.find(absl::StrCat("\n", key, " = "));
      ASSERT_NE(line, std::string::npos) << key;
      text.erase(line, text.find('\n', line + 1) - line);
    }
    EXPECT_THAT(ProblemOf(text), testing::EndsWith(absl::StrCat("allowed: ", allowed))) << doc.table << "." << doc.key;
    ++tried;
  }
  EXPECT_EQ(tried, 10u);
}

TEST(Keys, DefaultsAreTheParsers) {
  const absl::StatusOr<Config> plain = ParseConfig(With("", ""), "f");
  ASSERT_TRUE(plain.ok()) << plain.status();
  for (const char* key : {"on_dataplane_down", "queue_pairs", "mode", "poll", "offload", "offload_flows"}) {
    for (const KeyDoc& doc : KeyDocs()) {
      if (std::string(doc.key) == key) {
        const absl::StatusOr<Config> said = ParseConfig(With(doc.table, absl::StrCat(key, " = ", doc.standard)), "f");
        ASSERT_TRUE(said.ok()) << said.status();
        EXPECT_TRUE(Compare(*plain, *said).empty()) << key;
      }
    }
  }
}

TEST(KeyDocs, TheReadmeHasTheTable) {
  EXPECT_THAT(Contents(SLUICE_README), HasSubstr("\n" + ReadmeTable()))
      << "put in the README what this prints: write_key_docs readme";
}

TEST(KeyDocs, TheManPageHasEveryKeyAndTheExample) {
  const std::string page = ManPage("1.2.3", "# a-b\\c\n.x = 'y'\n'z\n");
  for (const KeyDoc& doc : KeyDocs()) {
    EXPECT_THAT(page, HasSubstr(absl::StrCat("\n.TP\n.B ", doc.key, "\n")));
  }
  EXPECT_THAT(page, HasSubstr("\n.nf\n# a\\-b\\ec\n\\&.x = 'y'\n\\&'z\n.fi\n")) << "nothing of it is a request";
  EXPECT_THAT(page, HasSubstr("Allowed: \"pass\" (to the kernel), \"drop\""));
  EXPECT_THAT(page, HasSubstr("Sluice 1.2.3"));
}

TEST(KeyDocs, TheBuildMakesTheManPage) {
  EXPECT_THAT(Contents(SLUICE_MAN_PAGE), HasSubstr(".TH SLUICE.TOML 5"));
  EXPECT_THAT(Contents(SLUICE_MAN_PAGE), HasSubstr("\n[[port]]\nname = \"wan\""));
}

// Three places print a rule's fields: the documentation, sluicectl's help, and a rule itself. There is one order.
TEST(Keys, RulesFieldsAreDocumentedAsTheyArePrinted) {
  std::vector<std::string> documented;
  for (const KeyDoc& doc : KeyDocs()) {
    if (std::string(doc.table) == "rule") {
      documented.push_back(doc.key);
    }
  }
  EXPECT_THAT(documented, testing::ElementsAreArray(RuleFieldNames()));
}

}  // namespace
}  // namespace sluice
