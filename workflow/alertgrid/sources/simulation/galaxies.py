"""What a galaxy looks like before the telescope: Sersic bulge, exponential disk, spiral arms.

Smooth components are GalSim profiles. Arms are a logarithmic spiral laid over the disk on a fine pixel grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import galsim
import numpy as np
from scipy import fft

from alertgrid.sources.simulation import optics

# GalSim builds a table for each Sersic index, which takes a tenth of a second: a few indices serve all bulges.
BULGE_INDICES = (1.0, 2.0, 4.0)
DISK_SCALE = 1.678  # half-light radius of an exponential disk in scale lengths
_AXIS = (np.arange(optics.FINE) - optics.FINE // 2) / optics.OVERSAMPLING  # pixels
_WAVES = galsim.BoundsI(0, optics.FINE // 2, -optics.FINE // 2, optics.FINE // 2 - 1)
_WAVE_STEP = 2 * np.pi / optics.GRID


@dataclass(frozen=True)
class Galaxy:
    """Shape of a galaxy of unit flux.

    Attributes
    ----------
    radius : float
        Half-light radius of the disk, pixels.
    bulge_fraction : float
        Share of the light in the bulge, 0 to 1.
    bulge_radius : float
        Half-light radius of the bulge, pixels.
    bulge_index : float
        Sersic index, one of `BULGE_INDICES`.
    axis_ratio : float
        Minor over major axis of the disk, 0 to 1; the bulge is rounder.
    angle : float
        Position angle, radians.
    arm_strength : float
        Contrast of the arms, 0 (none) to 1.
    arm_number : int
        Number of arms.
    arm_pitch : float
        Pitch angle, radians; its sign is the sense of winding.
    arm_phase : float
        Radians.
    """

    radius: float
    bulge_fraction: float
    bulge_radius: float
    bulge_index: float
    axis_ratio: float
    angle: float
    arm_strength: float = 0.0
    arm_number: int = 2
    arm_pitch: float = 0.35
    arm_phase: float = 0.0


def draw_galaxy(rng: np.random.Generator, radius: float, armed: bool) -> Galaxy:
    """A random galaxy of given half-light radius in pixels.

    ASSUME: three in ten are ellipticals (all bulge, seen at 0.6 to 1 axis ratio); disks are thin and seen at random
    inclination; arms exist in two of three disks that are large enough to show them.
    """
    elliptical = rng.random() < 0.3
    fraction = rng.uniform(0.8, 1.0) if elliptical else rng.beta(1.2, 4.0)
    axis_ratio = rng.uniform(0.6, 1.0) if elliptical else max(abs(rng.uniform(0, 1)), 0.15)
    strength = rng.uniform(0.4, 1.0) if armed and not elliptical and rng.random() < 2 / 3 else 0.0
    return Galaxy(
        radius=radius,
        bulge_fraction=float(fraction),
        bulge_radius=radius * (1.0 if elliptical else rng.uniform(0.15, 0.4)),
        bulge_index=float(rng.choice(BULGE_INDICES, p=[0.1, 0.3, 0.6] if elliptical else [0.3, 0.5, 0.2])),
        axis_ratio=float(axis_ratio),
        angle=float(rng.uniform(0, np.pi)),
        arm_strength=float(strength),
        arm_number=int(rng.choice([2, 3, 4], p=[0.7, 0.15, 0.15])),
        arm_pitch=float(rng.uniform(0.2, 0.5) * rng.choice([-1, 1])),
        arm_phase=float(rng.uniform(0, 2 * np.pi)),
    )


def transform(galaxy: Galaxy) -> np.ndarray:
    """Fourier transform of a galaxy of unit flux at the origin, on the fine grid of `optics`."""
    total = np.zeros((optics.FINE, optics.FINE // 2 + 1), dtype=np.complex128)
    if galaxy.bulge_fraction > 0:
        # ASSUME: a bulge is half as flattened as its disk.
        profile = galsim.Sersic(n=galaxy.bulge_index, half_light_radius=galaxy.bulge_radius)
        total += galaxy.bulge_fraction * _smooth(profile, 0.5 * (1 + galaxy.axis_ratio), galaxy.angle)
    if galaxy.bulge_fraction < 1:
        total += (1 - galaxy.bulge_fraction) * _disk(galaxy)
    return total


def _disk(galaxy: Galaxy) -> np.ndarray:
    """Transform of the disk of unit flux, with or without arms."""
    if galaxy.arm_strength > 0:
        return _armed_disk(galaxy)
    return _smooth(galsim.Exponential(half_light_radius=galaxy.radius), galaxy.axis_ratio, galaxy.angle)


def _smooth(profile: galsim.GSObject, axis_ratio: float, angle: float) -> np.ndarray:
    """Transform of a GalSim profile flattened to an axis ratio along an angle."""
    flattened = profile.shear(q=axis_ratio, beta=angle * galsim.radians)
    waves = flattened.drawKImage(image=galsim.ImageCD(_WAVES), scale=_WAVE_STEP, recenter=False).array
    return fft.ifftshift(waves, axes=0)


def _armed_disk(galaxy: Galaxy) -> np.ndarray:
    """Transform of an exponential disk whose brightness a logarithmic spiral raises and lowers."""
    cos, sin = np.cos(galaxy.angle), np.sin(galaxy.angle)
    major = _AXIS[None, :] * cos + _AXIS[:, None] * sin
    minor = (-_AXIS[None, :] * sin + _AXIS[:, None] * cos) / galaxy.axis_ratio
    scale = galaxy.radius / DISK_SCALE
    radius = np.hypot(major, minor) / scale
    winding = np.log(np.maximum(radius, 0.05)) / np.tan(galaxy.arm_pitch)
    wave = np.cos(galaxy.arm_number * (np.arctan2(minor, major) - winding) + galaxy.arm_phase)
    # Arms fade into the centre, where a logarithmic spiral winds without end.
    contrast = galaxy.arm_strength * radius**2 / (0.3 + radius**2)
    light = np.exp(-radius) * (1 + contrast * wave)
    return fft.rfft2(fft.ifftshift(light / light.sum()))
