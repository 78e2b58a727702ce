/* cblas_sgemm for MLX on Linux out of the OpenBLAS that numpy brings, whose integers are wider and whose names
   differ: preloaded, it takes the place of the reference BLAS that MLX is linked to, which is fifty times slower. */
#include <stdint.h>

void scipy_cblas_sgemm64_(int order, int transa, int transb, int64_t m, int64_t n, int64_t k, float alpha,
                          const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c,
                          int64_t ldc);

void cblas_sgemm(int order, int transa, int transb, int m, int n, int k, float alpha, const float *a, int lda,
                 const float *b, int ldb, float beta, float *c, int ldc) {
    scipy_cblas_sgemm64_(order, transa, transb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
