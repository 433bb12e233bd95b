#include "base/log.hpp"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.hpp"

namespace lockkeeper::log {
namespace {

constexpr const char* kTextPattern = "%Y-%m-%dT%H:%M:%S.%e%z %^%-7l%$ %v";

std::atomic<Format> format{Format::text};

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::debug:
      return spdlog::level::debug;
    case Level::info:
      return spdlog::level::info;
    case Level::warning:
      return spdlog::level::warn;
    case Level::error:
      return spdlog::level::err;
    case Level::off:
      return spdlog::level::off;
  }
  return spdlog::level::info;
}

spdlog::logger& logger() {
  static const std::shared_ptr<spdlog::logger> instance = [] {
    auto made = std::make_shared<spdlog::logger>(
        "lockkeeper", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
    made->set_pattern(kTextPattern);
    return made;
  }();
  return *instance;
}

std::string as_text(std::string_view message, std::initializer_list<Field> fields) {
  std::string line(message);
  for (const auto& [key, value] : fields) {
    const bool bare = !value.empty() && value.find_first_of(" \t\n\"=") == std::string::npos;
    line += ' ';
    line += key;
    line += '=';
    line +=
        bare ? value
             : nlohmann::json(value).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }
  return line;
}

std::string as_json(Level level, std::string_view message, std::initializer_list<Field> fields) {
  const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
  nlohmann::ordered_json line;
  line["time_ms"] = std::chrono::duration_cast<std::chrono::milliseconds>(since_epoch).count();
  const auto name = spdlog::level::to_string_view(to_spdlog(level));
  line["level"] = std::string(name.data(), name.size());
  line["message"] = message;
  for (const auto& [key, value] : fields) line[std::string(key)] = value;
  return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

void configure(Level level, Format wanted) {
  format = wanted;
  logger().set_level(to_spdlog(level));
  logger().set_pattern(wanted == Format::json ? "%v" : kTextPattern);
}

Level level_from(const std::string& name) {
  for (const auto& [level, word] : {std::pair{Level::debug, "debug"},
                                    {Level::info, "info"},
                                    {Level::warning, "warning"},
                                    {Level::error, "error"},
                                    {Level::off, "off"}})
    if (name == word) return level;
  throw InputError("unknown log level \"" + name + "\"",
                   "use one of: debug, info, warning, error, off");
}

Format format_from(const std::string& name) {
  if (name == "text") return Format::text;
  if (name == "json") return Format::json;
  throw InputError("unknown log format \"" + name + "\"", "use text or json");
}

void write(Level level, std::string_view message, std::initializer_list<Field> fields) {
  if (!logger().should_log(to_spdlog(level))) return;
  logger().log(to_spdlog(level),
               format == Format::json ? as_json(level, message, fields) : as_text(message, fields));
}

}  // namespace lockkeeper::log
