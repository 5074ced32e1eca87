/* Visibility, linkage and diagnostics marks shared by all public headers. */
#ifndef QUIESCE_EXPORT_H
#define QUIESCE_EXPORT_H

#define QS_EXPORT     __attribute__((visibility("default")))
#define QS_MUST_CHECK __attribute__((warn_unused_result))

#ifdef __cplusplus
#define QS_BEGIN_DECLS extern "C" {
#define QS_END_DECLS   }
#else
#define QS_BEGIN_DECLS
#define QS_END_DECLS
#endif

#endif
