"""The functions of one variable of a MEAM potential: value, slope, curvature.

    f_c(x) = [1 - (1-x)^4]²                          on [0, 1]: the cutoff and the screening
    F(x)   = A E_c x ln x                            the embedding function
    G(x)   = sqrt(1 + x)                 ibar 0, 4   the shape function
             exp(x/2)                    ibar 1
             2/(1 + e^-x)                ibar 3
             ± sqrt(|1 + x|)             ibar -5, with the sign of 1 + x

`ibar` is the number by which the library chooses G. With ibar 0 and 4, G goes on below x = -g/(g + 1) as a power of
-1/x that falls to zero, g being `gsmooth_factor`.

Sources: M. I. Baskes, Phys. Rev. B 46, 2727 (1992); G as in LAMMPS `pair_style meam`.
"""

from math import exp, log, sqrt

from numba import njit

# divisions by zero give infinities, which are looked for in the results, instead of a branch each
compiled = njit(cache=True, error_model="numpy")


@compiled
def smooth_step(x):
    """f_c(x) = [1 - (1-x)^4]², 0 below 0 and 1 above 1."""
    if x >= 1.0:
        return 1.0, 0.0, 0.0
    if x <= 0.0:
        return 0.0, 0.0, 0.0
    y = 1.0 - x
    y2 = y * y
    z = 1.0 - y2 * y2
    return z * z, 8.0 * z * y2 * y, 32.0 * y2 * y2 * y2 - 24.0 * z * y2


@compiled
def shape_function(gamma, ibar, gsmooth_factor):
    """G(Gamma) of the kind `ibar`."""
    if ibar == 1:
        g = exp(0.5 * gamma)
        return g, 0.5 * g, 0.25 * g
    if ibar == 3:
        g = 2.0 / (1.0 + exp(-gamma))
        slope = 0.5 * g * (2.0 - g)
        return g, slope, slope * (1.0 - g)
    if ibar == -5:
        x = 1.0 + gamma
        sign = 1.0 if x >= 0.0 else -1.0
        g = sqrt(abs(x))
        return sign * g, 0.5 / g, -0.25 * sign / (g * abs(x))
    switch = -gsmooth_factor / (gsmooth_factor + 1.0)
    if gamma < switch:
        g = sqrt((switch / gamma) ** gsmooth_factor / (gsmooth_factor + 1.0))
        half = 0.5 * gsmooth_factor
        return g, -half * g / gamma, half * (half + 1.0) * g / (gamma * gamma)
    g = sqrt(1.0 + gamma)
    return g, 0.5 / g, -0.25 / (g * g * g)


@compiled
def embedding_energy(x, strength, linear_below_zero):
    """F(x) = A E_c x ln x; at negative densities -A E_c x, or nothing."""
    if x > 0.0:
        return strength * x * log(x), strength * (1.0 + log(x)), strength / x
    if linear_below_zero:
        return -strength * x, -strength, 0.0
    return 0.0, 0.0, 0.0
