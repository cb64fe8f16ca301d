# Writes the file FROM as a C array into TO (config/starter.h).
file(READ ${FROM} hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "((0x[0-9a-f][0-9a-f],){20})" "\\1\n    " bytes "${bytes}")
file(WRITE ${TO} "#include \"config/starter.h\"

static const unsigned char SUBMISSION_RULES[] = {
    ${bytes}0x00};

const struct source_builtin starter_builtins[] = {
    {STARTER_RULES, (const char *)SUBMISSION_RULES, sizeof SUBMISSION_RULES - 1},
};
const size_t starter_builtin_count = 1;
")
