# Writes the files of the list FILES, all of FOLDER, as C arrays into TO (config/starter.h).
set(arrays "")
set(rows "")
set(count 0)
foreach(file IN LISTS FILES)
  file(READ ${FOLDER}/${file} hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(REGEX REPLACE "((0x[0-9a-f][0-9a-f],){20})" "\\1\n    " bytes "${bytes}")
  string(APPEND arrays "static const unsigned char FILE_${count}[] = {\n    ${bytes}0x00};\n\n")
  string(APPEND rows "    {\"built-in/${file}\", (const char *)FILE_${count}, sizeof FILE_${count} - 1},\n")
  math(EXPR count "${count} + 1")
endforeach()
file(WRITE ${TO} "#include \"config/starter.h\"

${arrays}const struct source_builtin starter_builtins[] = {
${rows}};
const size_t starter_builtin_count = ${count};
")
