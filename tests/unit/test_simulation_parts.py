"""Light curves and galaxies of the simulated sky, the corpus of galaxies, and processes that share the drawing."""

import dataclasses

import h5py
import numpy as np
import pytest
from alertgrid.errors import StudyError
from alertgrid.sources import read_alerts
from alertgrid.sources.simulation import galaxies, lightcurves, optics, scene, sharing
from alertgrid.sources.simulation.corpus import TARGETS, galaxy_corpus, write_corpus


def test_supernovae_rise_and_fall():
    rng = np.random.default_rng(0)
    days = np.linspace(-40, 400, 300)
    for _ in range(20):
        _, magnitude = lightcurves.supernova(rng, np.repeat(days, 2), np.tile([1, 2], 300), 17.0)
        assert magnitude.min() == pytest.approx(17.0, abs=0.15)
        assert np.isinf(magnitude[0])
        assert np.isinf(magnitude[-1])


def test_random_walk_has_its_scatter_and_memory():
    walk = lightcurves.damped_random_walk(np.random.default_rng(0), np.arange(20_000.0), 0.3, 50.0)
    assert walk.std() == pytest.approx(0.3, rel=0.15)
    assert np.corrcoef(walk[:-50], walk[50:])[0, 1] == pytest.approx(np.exp(-1), abs=0.15)


def test_star_density_falls_from_the_plane():
    assert scene.star_density(266.4, -28.9) > 60
    assert scene.star_density(*scene.GALACTIC_POLE) == pytest.approx(1.7, abs=0.1)


def test_a_galaxy_conserves_light_with_and_without_arms():
    plain = galaxies.Galaxy(4.0, 0.3, 1.0, 4.0, 0.6, 0.4)
    armed = dataclasses.replace(plain, arm_strength=0.9)
    pictures = []
    for galaxy in (plain, armed):
        light = galaxies.transform(galaxy) * optics.phase(0, 0) * optics.point_spread(2.0)
        pictures.append(optics.image(light))
        assert pictures[-1].sum() == pytest.approx(1.0, abs=1e-3)
    assert np.abs(pictures[0] - pictures[1]).max() > 0.03 * pictures[0].max()


def test_transform_agrees_with_galsim_drawing():
    import galsim

    psf = galsim.Moffat(beta=optics.MOFFAT_BETA, fwhm=2.1)
    profile = galsim.Convolve(galsim.Exponential(half_light_radius=3.0).shear(q=0.5, beta=0.3 * galsim.radians), psf)
    drawn = profile.drawImage(nx=41, ny=41, scale=1.0).array
    galaxy = galaxies.Galaxy(3.0, 0.0, 1.0, 1.0, 0.5, 0.3)
    ours = optics.image(galaxies.transform(galaxy) * optics.phase(0, 0) * optics.point_spread(2.1))
    ours = ours[optics.CENTRE - 20 : optics.CENTRE + 21, optics.CENTRE - 20 : optics.CENTRE + 21]
    np.testing.assert_allclose(ours, drawn, atol=0.01 * drawn.max())


def test_corpus_is_reproducible_and_spread_over_its_targets(tmp_path):
    images, targets = galaxy_corpus(60, 3)
    again = galaxy_corpus(20, 3)
    assert images.shape == (60, 3, 63, 63)
    assert images.dtype == targets.dtype == np.float32
    assert images[:20].tobytes() == again[0].tobytes()
    assert targets[:20].tobytes() == again[1].tobytes()
    assert np.isfinite(images).all()
    np.testing.assert_allclose(np.sqrt((images.astype(float) ** 2).sum(axis=(2, 3))), 1, atol=1e-5)
    assert ((targets >= 0) & (targets <= 1)).all()
    assert targets[:, :3].std(axis=0).min() > 0.1
    assert set(targets[:, 3]) == {0.0, 1.0}
    write_corpus(tmp_path / "galaxies.h5", count=20, seed=3)
    with h5py.File(tmp_path / "galaxies.h5") as handle:
        assert handle["images"][()].tobytes() == again[0].tobytes()
        np.testing.assert_array_equal(handle["targets"], again[1])
        assert list(handle.attrs["targets"]) == list(TARGETS)
        assert list(handle.attrs["kinds"]) == ["regression"] * 3 + ["binary"]
    assert [path.name for path in tmp_path.iterdir()] == ["galaxies.h5"]


def test_a_bad_corpus_is_refused(tmp_path):
    with pytest.raises(StudyError, match="count"):
        galaxy_corpus(0)
    with pytest.raises(StudyError, match=r"simulation\.seeing"):
        write_corpus(tmp_path / "galaxies.h5", 5, seeing=100.0)
    assert not list(tmp_path.iterdir())


def test_any_number_of_processes_draws_the_same_corpus_and_sky(tmp_path, monkeypatch):
    monkeypatch.setattr(sharing, "WORTH_PROCESSES", 0)
    for workers in (1, 2):
        write_corpus(tmp_path / f"{workers}.h5", count=20, seed=3, workers=workers)
    assert (tmp_path / "1.h5").read_bytes() == (tmp_path / "2.h5").read_bytes()
    sky = {"trues": 4, "dims": 3, "vars": 4, "rejects": 9, "alerts_per_source": 2, "chunk_alerts": 10}
    alone, shared = (list(read_alerts("simulation", sky, workers)) for workers in (1, 2))
    assert len(alone) == len(shared) > 2
    for one, other in zip(alone, shared, strict=True):
        assert one.catalogue.equals(other.catalogue)
        assert one.metadata.tobytes() + one.stamps.tobytes() == other.metadata.tobytes() + other.stamps.tobytes()


def test_a_mistake_within_a_process_reaches_the_user(monkeypatch):
    monkeypatch.setattr(sharing, "WORTH_PROCESSES", 0)
    impossible = {"trues": 0, "dims": 20, "vars": 0, "rejects": 0, "bright_peak": 20.0, "depth": 17.0}
    with pytest.raises(StudyError, match=r"simulation\.dims"):
        next(read_alerts("simulation", impossible, workers=2))
