/* test_store_redis_sentinel.c - the suite that every store passes, in Redis behind Sentinels. */
#include "limits/redis_store/redis_suite.h"

int main(int argc, char **argv)
{
    return redis_suite_main(REDIS_SENTINEL, "suite: redis behind sentinels", argc, argv);
}
