/* test_store_redis_alone.c - the suite that every store passes, in Redis on a server alone. */
#include "limits/redis_store/redis_suite.h"

int main(int argc, char **argv)
{
    return redis_suite_main(REDIS_ALONE, "suite: redis alone", argc, argv);
}
