#include "control/config/key_docs.h"

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "control/rules/rule.h"
#include "dataplane/function/settings.h"
#include "dataplane/functions/catalog.h"

namespace sluice {
namespace {

std::string Heading(const std::string& table) {
  return FindTable(table).many ? absl::StrCat("[[", table, "]]") : absl::StrCat("[", table, "]");
}

// Escapes text for roff, so that no line is read as a request and no backslash as an escape.
std::string Roff(const std::string& text) {
  std::vector<std::string> lines = absl::StrSplit(text, '\n');
  for (std::string& line : lines) {
    line = absl::StrReplaceAll(line, {{"\\", "\\e"}, {"-", "\\-"}});
    if (absl::StartsWith(line, ".") || absl::StartsWith(line, "'")) {
      line = absl::StrCat("\\&", line);
    }
  }
  return absl::StrJoin(lines, "\n");
}

std::string ManWord(const KeyWord& word) {
  return absl::StrCat("\"", Roff(word.word), "\"",
                      *word.meaning == '\0' ? "" : absl::StrCat(" (", Roff(word.meaning), ")"));
}

std::string ManKey(const KeyDoc& doc) {
  const std::string values =
      doc.words.empty()
          ? Roff(doc.values)
          : absl::StrJoin(doc.words, ", ", [](std::string* out, const KeyWord& word) { out->append(ManWord(word)); });
  return absl::StrCat(
      ".TP\n.B ", Roff(doc.key), "\n", Roff(doc.help), "\n.br\nAllowed: ", values, ".\n.br\n",
      doc.standard.empty() ? "Required." : absl::StrCat("Default: ", Roff(doc.standard), "."), "\n.br\n",
      doc.live ? "Changed live by sluicectl config apply." : "A change needs a restart of sluice\\-agent.", "\n");
}

std::string PortsText(const FunctionDescriptor& function) {
  return function.least_ports == function.most_ports
             ? absl::StrCat("Ports: ", function.least_ports, ".")
             : absl::StrCat("Ports: ", function.least_ports, " to ", function.most_ports, ".");
}

std::string ManFunction(const FunctionDescriptor& function) {
  std::string text =
      absl::StrCat(".SS type = \"", function.name, "\"\n", Roff(function.summary), "\n", PortsText(function), "\n");
  for (const KeyDoc& doc : SettingDocs(function)) {
    text += ManKey(doc);
  }
  return text;
}

std::string Code(const std::string& text) {
  return absl::StrCat("`", text, "`");
}

std::string ReadmeTable(const std::vector<KeyDoc>& docs) {
  std::string text = "| Key | Values | Default | Changes |\n| --- | --- | --- | --- |\n";
  for (const KeyDoc& doc : docs) {
    const std::string values =
        doc.words.empty() ? doc.values : absl::StrJoin(doc.words, ", ", [](std::string* out, const KeyWord& word) {
          absl::StrAppend(out, Code(word.word), *word.meaning == '\0' ? "" : absl::StrCat(" (", word.meaning, ")"));
        });
    absl::StrAppend(&text, "| ", Code(absl::StrCat(Heading(doc.table), " ", doc.key)), " | ", values, " | ",
                    doc.standard.empty() ? "–" : doc.standard, " | ", doc.live ? "live" : "restart", " |\n");
  }
  return text;
}

}  // namespace

std::vector<KeyDoc> KeyDocs() {
  std::vector<KeyDoc> docs;
  for (const KeySpec& spec : AllKeys()) {
    const auto* one = std::get_if<WordType>(&spec.type);
    docs.push_back({spec.table, spec.key, one == nullptr ? std::vector<KeyWord>() : one->words(),
                    AllowedText(spec.type), DefaultText(spec), spec.change.live(), spec.help});
  }
  for (const RuleField& field : AllRuleFields()) {
    std::vector<KeyWord> words;
    for (const RuleWord& word : field.words) {
      words.push_back({word.word, word.meaning});
    }
    const bool only_words = *field.values == '\0';
    docs.push_back({"rule", field.name, only_words ? std::move(words) : std::vector<KeyWord>(), AllowedText(field),
                    field.unset, true, field.help});
  }
  return docs;
}

std::vector<KeyDoc> SettingDocs(const FunctionDescriptor& function) {
  std::vector<KeyDoc> docs;
  for (const SettingSpec& spec : function.settings) {
    docs.push_back({"function", spec.name, {}, AllowedValues(spec), spec.default_text, spec.live, spec.help});
  }
  return docs;
}

std::string ManPage(const std::string& version, const std::string& example) {
  std::string text = absl::StrCat(
      ".\\\" Made from control/config/keys.cc, control/rules/rule.cc and dataplane/functions/*/descriptor.cc.\n.TH "
      "SLUICE.TOML 5 \"\" \"Sluice ",
      version, "\" \"Sluice\"\n", ".SH NAME\nsluice.toml \\- configuration of sluice\\-agent\n.SH DESCRIPTION\n",
      "A TOML file, by default\n.IR /etc/sluice/sluice.toml .\nUnknown keys and wrong values are errors;\n",
      ".B sluicectl config check\nlists all of them, each with its line.\n.PP\n",
      ".B sluicectl config diff\nshows what a file would change,\n.B sluicectl config apply\n",
      "changes it in the running agent: all of it, or nothing. With\n.B \\-\\-confirm 60s\nthe agent goes back by "
      "itself ",
      "unless\n.B sluicectl config confirm\nfollows in time. SIGHUP\n(systemctl reload) applies the file the agent was "
      "started with.\n.PP\n",
      "A file with which the agent started, or that was applied and, where asked for, confirmed, is kept as\n",
      ".I last\\-good.toml\nin the state folder. The agent starts with that when the file is broken, says so in its "
      "log, "
      "and\n.B sluicectl status\nshows it.\n");
  for (const TableSpec& table : AllTables()) {
    absl::StrAppend(&text, ".SH ", Roff(Heading(table.name)), "\n", Roff(table.help), "\n");
    for (const KeyDoc& doc : KeyDocs()) {
      if (doc.table == table.name) {
        text += ManKey(doc);
      }
    }
    if (&table == &FindTable("function")) {
      for (const FunctionDescriptor* function : Functions()) {
        absl::StrAppend(&text, ManFunction(*function));
      }
    }
  }
  absl::StrAppend(&text, ".SH EXAMPLE\n.nf\n", Roff(example), absl::EndsWith(example, "\n") ? "" : "\n", ".fi\n",
                  ".SH FILES\n.I /etc/sluice/sluice.toml\n.br\n.I /var/lib/sluice/last\\-good.toml\n",
                  ".SH SEE ALSO\n.BR sluice\\-agent (8),\n.BR sluicectl (1)\n");
  return text;
}

// Names no function, so that a new one changes none of these texts.
std::string ReadmeTables() {
  std::vector<KeyDoc> docs = KeyDocs();
  for (KeyDoc& doc : docs) {
    if (std::string(doc.table) == "function" && std::string(doc.key) == "type") {
      doc.words.clear();
      doc.values = "the name of a function; sluice.toml(5) lists them, with the keys of each";
    }
  }
  return ReadmeTable(docs);
}

absl::StatusOr<std::string> WithReadmeTables(const std::string& readme) {
  constexpr absl::string_view kBegin =
      "<!-- Made by write_key_docs; the lines up to the next marker are not yours. -->\n";
  constexpr absl::string_view kEnd = "<!-- End of what write_key_docs made. -->\n";
  const size_t begin = readme.find(kBegin.data());
  const size_t end = begin == std::string::npos ? begin : readme.find(kEnd.data(), begin);
  if (end == std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat("there are no lines '", kBegin, "' and '", kEnd, "'"));
  }
  return absl::StrCat(readme.substr(0, begin), kBegin, "\n", ReadmeTables(), "\n", readme.substr(end));
}

}  // namespace sluice
