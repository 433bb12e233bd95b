#include "cli/sources.hpp"

#include <algorithm>
#include <filesystem>
#include <iostream>

#include "cli/command.hpp"
#include "cli/output.hpp"

namespace lockkeeper::cli {
namespace {

namespace fs = std::filesystem;

// down.sql (Diesel), 1_init.down.sql (golang-migrate), U1__init.sql (Flyway).
bool goes_down(const fs::path& file) {
  const auto name = file.filename().string();
  const bool undo = name.size() > 2 && name[0] == 'U' && name[1] >= '0' && name[1] <= '9' &&
                    name.find("__") != std::string::npos;
  return undo || name == "down.sql" ||
         (name.size() > 9 && name.compare(name.size() - 9, 9, ".down.sql") == 0);
}

// The .sql files of a directory, in name order; of each of its directories, the migration.sql
// (Prisma) or up.sql (Diesel). Files that take a migration back (down.sql) are left out.
std::vector<std::string> files_of(const std::string& directory) {
  std::vector<fs::path> files;
  std::size_t left_out = 0;
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (entry.is_directory()) {
      for (const char* name : {"migration.sql", "up.sql"})
        if (fs::exists(entry.path() / name)) files.push_back(entry.path() / name);
      left_out += fs::exists(entry.path() / "down.sql") ? 1 : 0;
    } else if (goes_down(entry.path())) {
      ++left_out;
    } else if (entry.path().extension() == ".sql") {
      files.push_back(entry.path());
    }
  }
  if (files.empty())
    throw InputError("no .sql file in directory " + directory,
                     "looked for *.sql, */migration.sql and */up.sql");
  if (left_out > 0)
    std::cerr << "note: " << left_out << " down.sql of " << directory << " left out" << std::endl;
  // By the names of files and directories, not by the text of the whole path.
  std::sort(files.begin(), files.end());
  return {files.begin(), files.end()};
}

}  // namespace

std::vector<client::SourceText> read_sources(const std::vector<std::string>& names) {
  std::vector<client::SourceText> sources;
  for (const auto& name : names) {
    if (!fs::is_directory(name)) {
      sources.push_back({name == "-" ? "<stdin>" : name, read_text(name)});
      continue;
    }
    for (const auto& file : files_of(name)) sources.push_back({file, read_text(file)});
  }
  return sources;
}

void need_no_file(const std::string& text, const std::string& instead) {
  std::error_code ignored;
  if (text.size() > 4096 || text.find('\n') != std::string::npos || !fs::exists(text, ignored))
    return;
  throw InputError("\"" + text + "\" is a file or a directory, not a statement", "use: " + instead);
}

}  // namespace lockkeeper::cli
