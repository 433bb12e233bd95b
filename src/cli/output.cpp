#include "cli/output.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <numeric>

#include "base/error.hpp"
#include "jobs/job.hpp"

namespace lockkeeper::cli {
namespace {

std::string padded(const std::string& text, std::size_t width) {
  return text + std::string(width - std::min(width, width_of(text)), ' ');
}

}  // namespace

std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(characters(text, text.size()));
}

bool on_terminal() { return isatty(STDOUT_FILENO) != 0; }

int terminal_width() {
  if (!on_terminal()) return 0;
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

int terminal_height() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0) return size.ws_row;
  return 24;
}

std::string cut(const std::string& text, std::size_t width) {
  if (width_of(text) <= width) return text;
  std::size_t bytes = 0;
  std::size_t seen = 0;
  while (bytes < text.size() && (seen < width - 1 || (text[bytes] & '\xC0') == '\x80'))
    if ((text[bytes++] & '\xC0') != '\x80') ++seen;
  return text.substr(0, bytes) + "…";
}

std::string one_line(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const bool blank = c == ' ' || c == '\t' || c == '\n' || c == '\r';
    if (!blank)
      out += c;
    else if (!out.empty() && out.back() != ' ')
      out += ' ';
  }
  return printable(std::move(out));
}

// On a terminal, the widest columns give way, so that a row stays a row; in a pipe (room 0) none
// does.
static void fit(std::vector<std::size_t>& widths, std::size_t room) {
  constexpr std::size_t kLeast = 8;
  const auto total = [&] {
    return std::accumulate(widths.begin(), widths.end(), std::size_t{0}) + 2 * (widths.size() - 1);
  };
  while (room > 0 && !widths.empty() && total() > room) {
    // Of equals the last one: it is the statement, or the note.
    auto widest = std::max_element(widths.rbegin(), widths.rend());
    if (*widest <= kLeast) return;
    --*widest;
  }
}

void print_table(const std::vector<std::string>& head,
                 const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& title : head) widths.push_back(width_of(title));
  for (const auto& row : rows)
    for (std::size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], width_of(row[c]));
  fit(widths, static_cast<std::size_t>(terminal_width()));
  const auto line = [&](const std::vector<std::string>& row) {
    std::string out;
    for (std::size_t c = 0; c < row.size(); ++c) {
      out += padded(cut(row[c], widths[c]), widths[c]) + "  ";
    }
    while (!out.empty() && out.back() == ' ') out.pop_back();
    std::cout << out << '\n';
  };
  line(head);
  for (const auto& row : rows) line(row);
  std::cout.flush();
}

void print_json(const Json& json) {
  std::cout << json.dump(2, ' ', false, Json::error_handler_t::replace) << std::endl;
}

std::string bytes(std::int64_t count) {
  static const char* const kUnits[] = {"B", "kB", "MB", "GB", "TB"};
  double amount = static_cast<double>(count);
  std::size_t unit = 0;
  for (; amount >= 1000 && unit < 4; ++unit) amount /= 1024;
  return fmt::format("{:.{}f} {}", amount, unit == 0 || amount >= 100 ? 0 : 1, kUnits[unit]);
}

std::string duration(double seconds) {
  seconds = std::max(seconds, 0.0);
  if (seconds < 1) return fmt::format("{:.1f} ms", seconds * 1000);
  if (seconds < 60) return fmt::format("{:.2f} s", seconds);
  const auto whole = static_cast<long>(seconds);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  if (whole < 86400) return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
  return fmt::format("{} d {} h", whole / 86400, whole % 86400 / 3600);
}

std::string short_objects(const Json& objects) {
  std::string out;
  for (const auto& object : objects) {
    std::string key = object.get<std::string>();
    if (key.rfind("relation:", 0) == 0) key.erase(0, 9);
    if (key.rfind("public.", 0) == 0) key.erase(0, 7);
    out += (out.empty() ? "" : ", ") + key;
  }
  return out;
}

std::string cell(const Json& value) {
  if (value.is_null()) return "";
  if (value.is_string()) return value.get<std::string>();
  return value.dump();
}

std::string pretty_error(const Json& error, const std::string& whole) {
  if (!error.is_object()) return {};
  const Report report = jobs::report_from_json(error.dump());
  auto text = InputError(report, report.statement).pretty();
  // Of several statements, which one; a place in it says it already.
  if (whole.empty() || report.position > 0 || report.statement.empty() || report.statement == whole)
    return text;
  return text + "\n  in: " + cut(one_line(report.statement), 200);
}

}  // namespace lockkeeper::cli
