#include "control/config/key_docs.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "control/config/keys.h"

namespace sluice {
namespace {

struct TableDoc {
  const char* name;
  bool many;         // written [[name]], as often as wanted
  const char* text;  // what one of them is
};
constexpr TableDoc kTables[] = {
    {"port", true, "A network device that the function uses; one to four of them, in the order of their tables."},
    {"dataplane", false, "How packets are handled."},
    {"function", false, "The network function. Required."},
    {"metrics", false, "Prometheus."},
    {"rule", true,
     "Which packets the function gets. Rules are tried in the order of the file; the first that matches decides. "
     "Packets "
     "for the guest's own addresses, and ARP and ND for them, go to the kernel unless a rule says otherwise."},
};

std::string Heading(const std::string& table) {
  const TableDoc* found =
      std::find_if(std::begin(kTables), std::end(kTables), [&](const TableDoc& doc) { return table == doc.name; });
  return found != std::end(kTables) && found->many ? absl::StrCat("[[", table, "]]") : absl::StrCat("[", table, "]");
}

// Text for roff: no line of it is taken for a request, nothing in it for an escape.
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

std::string ManKey(const KeyDoc& doc) {
  std::string text = absl::StrCat(".TP\n.B ", Roff(doc.key), "\n", Roff(doc.text), "\n.br\nAllowed: ");
  if (doc.words.empty()) {
    absl::StrAppend(&text, Roff(doc.values), ".\n");
  } else {
    absl::StrAppend(&text,
                    absl::StrJoin(doc.words, ", ",
                                  [](std::string* out, const KeyWord& word) {
                                    absl::StrAppend(out, "\"", Roff(word.word), "\" (", Roff(word.meaning), ")");
                                  }),
                    ".\n");
  }
  absl::StrAppend(&text, ".br\n",
                  *doc.standard == '\0' ? "Required." : absl::StrCat("Default: ", Roff(doc.standard), "."), "\n.br\n",
                  doc.live ? "Changed live by sluicectl config apply." : "A change needs a restart of sluice\\-agent.",
                  "\n");
  return text;
}

std::string Code(const std::string& text) {
  return absl::StrCat("`", text, "`");
}

}  // namespace

std::string ManPage(const std::string& version, const std::string& example) {
  std::string text = absl::StrCat(
      ".\\\" Made from control/config/keys.cc.\n.TH SLUICE.TOML 5 \"\" \"Sluice ", version, "\" \"Sluice\"\n",
      ".SH NAME\nsluice.toml \\- configuration of sluice\\-agent\n.SH DESCRIPTION\n",
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
  for (const TableDoc& table : kTables) {
    absl::StrAppend(&text, ".SH ", Roff(Heading(table.name)), "\n", Roff(table.text), "\n");
    for (const KeyDoc& doc : KeyDocs()) {
      if (std::string(doc.table) == table.name) {
        text += ManKey(doc);
      }
    }
  }
  absl::StrAppend(&text, ".SH EXAMPLE\n.nf\n", Roff(example), absl::EndsWith(example, "\n") ? "" : "\n", ".fi\n",
                  ".SH FILES\n.I /etc/sluice/sluice.toml\n.br\n.I /var/lib/sluice/last\\-good.toml\n",
                  ".SH SEE ALSO\n.BR sluice\\-agent (8),\n.BR sluicectl (1)\n");
  return text;
}

std::string ReadmeTable() {
  std::string text = "| Key | Values | Default | Changes |\n| --- | --- | --- | --- |\n";
  for (const KeyDoc& doc : KeyDocs()) {
    const std::string values =
        doc.words.empty() ? doc.values : absl::StrJoin(doc.words, ", ", [](std::string* out, const KeyWord& word) {
          absl::StrAppend(out, Code(word.word), " (", word.meaning, ")");
        });
    absl::StrAppend(&text, "| ", Code(absl::StrCat(Heading(doc.table), " ", doc.key)), " | ", values, " | ",
                    *doc.standard == '\0' ? "–" : doc.standard, " | ", doc.live ? "live" : "restart", " |\n");
  }
  return text;
}

}  // namespace sluice
