#include "base/error.hpp"

#include <utility>

#include "base/characters.hpp"

namespace lockkeeper {
namespace {

bool starts_character(char byte) { return (static_cast<unsigned char>(byte) & 0xC0U) != 0x80U; }

std::string caret_line(const Place& place) {
  // Tabs are kept, so that the caret stands under its place whatever the tab width.
  std::string caret;
  int column = 1;
  for (std::size_t i = 0; i < place.text.size() && column < place.column; ++i) {
    if (!starts_character(place.text[i])) continue;
    caret += place.text[i] == '\t' ? '\t' : ' ';
    ++column;
  }
  return caret + "^";
}

}  // namespace

const char* to_string(Retry retry) {
  switch (retry) {
    case Retry::never:
      return "never";
    case Retry::same_session:
      return "same_session";
    case Retry::new_session:
      return "new_session";
    case Retry::outcome_unknown:
      return "outcome_unknown";
  }
  return "never";
}

Error::Error(Retry retry, Report report, std::string query)
    : std::runtime_error(report.message),
      retry_(retry),
      report_(std::move(report)),
      query_(std::move(query)) {}

Error::Error(Retry retry, const std::string& message, const std::string& sqlstate)
    : std::runtime_error(message), retry_(retry) {
  report_.message = message;
  report_.sqlstate = sqlstate;
}

int characters(const std::string& text, std::size_t bytes) {
  return CharacterCount(text).before(bytes);
}

int CharacterCount::before(std::size_t bytes) {
  if (bytes < at_) {
    at_ = 0;
    count_ = 0;
  }
  for (; at_ < bytes && at_ < text_.size(); ++at_)
    if (starts_character(text_[at_])) ++count_;
  return count_;
}

Place place_of(const std::string& text, int position) {
  Place place;
  std::size_t line_start = 0;
  int character = 1;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (!starts_character(text[i])) continue;
    if (character++ >= position) break;
    if (text[i] == '\n') {
      ++place.line;
      place.column = 1;
      line_start = i + 1;
    } else {
      ++place.column;
    }
  }
  place.text = text.substr(line_start, text.find('\n', line_start) - line_start);
  return place;
}

InputError::InputError(Report report, const std::string& text, std::string source)
    : std::runtime_error(report.message), report_(std::move(report)), source_(std::move(source)) {
  place_ = report_.position > 0 ? place_of(text, report_.position) : Place{0, 0, {}};
}

InputError::InputError(const std::string& message, const std::string& hint)
    : std::runtime_error(message), place_{0, 0, {}} {
  report_.message = message;
  report_.hint = hint;
}

std::string printable(std::string text) {
  // A terminal would take some for commands.
  for (char& c : text)
    if ((static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') || c == '\x7f') c = '?';
  return text;
}

std::string InputError::pretty() const {
  std::string out;
  if (!source_.empty()) out += source_ + ":";
  if (place_.line > 0)
    out += std::to_string(place_.line) + ":" + std::to_string(place_.column) + ":";
  if (!out.empty()) out += " ";
  out += "error: " + report_.message;
  if (!report_.sqlstate.empty()) out += " (" + report_.sqlstate + ")";
  if (place_.line > 0 && place_.text.find_first_not_of(' ') != std::string::npos)
    out += "\n  " + place_.text + "\n  " + caret_line(place_);
  if (!report_.detail.empty()) out += "\ndetail: " + report_.detail;
  if (!report_.hint.empty()) out += "\nhint: " + report_.hint;
  return printable(std::move(out));
}

}  // namespace lockkeeper
