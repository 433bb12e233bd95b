#include "cli/command.hpp"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>

namespace lockkeeper::cli {

pg::Dsn Context::connection() const { return pg::Dsn(dsn); }
client::Client Context::client() const { return client::Client(connection()); }

CLI::App* add_command(CLI::App& app, Context& context, const std::string& name,
                      const std::string& description, const std::string& example) {
  CLI::App* command = app.add_subcommand(name, description);
  command->footer("Example:\n  " + example);
  // Not envname(): all commands share the variable, and CLI11 reads it for those that were not
  // called, too, after what was given here.
  command->add_option("-d,--dsn", context.dsn,
                      "Connection string as libpq takes it (Env:LOCKKEEPER_DSN); without it PG* "
                      "variables, the service file and .pgpass hold");
  return command;
}

void add_json_option(CLI::App& command, Context& context) {
  command.add_flag("--json", context.json, "Print JSON");
}

std::string read_text(const std::string& file) {
  std::string text;
  if (file == "-") {
    text.assign(std::istreambuf_iterator<char>(std::cin), {});
  } else {
    std::ifstream in(file, std::ios::binary);
    text.assign(std::istreambuf_iterator<char>(in), {});
    if (!in.good() && !in.eof())
      throw InputError("cannot read " + file + ": " + std::strerror(errno));
  }
  // A byte order mark is not part of the text.
  if (text.rfind("\xEF\xBB\xBF", 0) == 0) text.erase(0, 3);
  return text;
}

}  // namespace lockkeeper::cli
