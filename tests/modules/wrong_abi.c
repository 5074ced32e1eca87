/* A module that was built for another quiesced. */
#include <quiesce/module.h>

const unsigned quiesce_module_abi = QS_MODULE_ABI + 41;

int quiesce_module_main(qs_runtime *runtime, const char *config)
{
	(void)runtime;
	(void)config;
	return 0;
}
