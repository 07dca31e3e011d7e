"""The simulated sky keeps its promises: same seed same bytes, labels by brightness, photometry true to the pixels."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from alertgrid.columns import CATALOGUE_COLUMNS, METADATA_COLUMNS, PIXEL_SCALE
from alertgrid.sources.simulation import imaging, optics, photometry, read, survey
from alertgrid.sources.simulation.events import KINDS, draw_asteroid
from alertgrid.sources.simulation.naming import alert_number, object_name
from alertgrid.sources.simulation.observation import observe_source
from alertgrid.sources.simulation.settings import Settings, checked_settings

SMALL = {"trues": 25, "dims": 15, "vars": 25, "rejects": 70, "alerts_per_source": 4, "seed": 2}
CENTRE = 31


def gathered(**settings):
    """Catalogue with metadata beside it, stamps and refusals of a whole sky."""
    chunks = list(read(**settings))
    table = pd.concat([chunk.catalogue for chunk in chunks], ignore_index=True)
    metadata = pd.DataFrame(np.concatenate([chunk.metadata for chunk in chunks]), columns=METADATA_COLUMNS)
    table = pd.concat([table, metadata.drop(columns=["magpsf", "ra", "dec"])], axis=1)
    return table, np.concatenate([chunk.stamps for chunk in chunks]), [r for chunk in chunks for r in chunk.refused]


@pytest.fixture(scope="module")
def sky():
    return gathered(**SMALL)


def test_counts_labels_and_names(sky):
    table, stamps, refused = sky
    assert not refused
    assert table.groupby("source_set")["objectId"].nunique().to_dict() == {
        name: SMALL[name] for name in ("dims", "rejects", "trues", "vars")
    }
    assert ((table["label"] == 1) == (table["source_set"] == "trues")).all()
    assert (table["split"] == "").all()
    assert table["candid"].dtype == np.int64
    assert table["candid"].is_unique
    assert table["objectId"].str.fullmatch(r"ZTF\d\d[a-z]{7}").all()
    assert table.groupby("objectId").size().max() <= SMALL["alerts_per_source"]
    assert set(CATALOGUE_COLUMNS) <= set(table)
    assert set(table["fid"]) == {1, 2}
    assert stamps.shape == (len(table), 3, 63, 63)
    assert stamps.dtype == np.float32


def test_label_follows_the_brightest_detection(sky):
    table = sky[0]
    assert (table.loc[table["source_set"] == "trues", "peakmag"] <= 18.5).all()
    assert (table.loc[table["source_set"] == "dims", "peakmag"] > 18.5).all()
    assert (table["peakmag"] <= table["peakmag_so_far"] + 1e-4).all()
    trues = table[table["source_set"] == "trues"]
    assert (trues["magpsf"] > 18.5).mean() > 0.2, "early and late alerts of bright sources are faint"


def test_stamps_are_finite_and_of_unit_norm(sky):
    stamps = sky[1]
    assert np.isfinite(stamps).all()
    np.testing.assert_allclose(np.sqrt((stamps.astype(float) ** 2).sum(axis=(2, 3))), 1, atol=1e-5)


def test_metadata_are_finite_with_the_survey_s_sentinels(sky):
    table = sky[0]
    assert np.isfinite(table[list(METADATA_COLUMNS)].to_numpy(float)).all()
    scores = table[["sgscore1", "sgscore2"]].to_numpy()
    assert (((scores >= 0) & (scores <= 1)) | (scores == -999)).all()
    assert (scores == 0.5).any()
    assert (scores == -999).any()
    assert ((table["sgscore2"] == -999) == (table["distpsnr2"] == -999)).all()
    assert (table.loc[table["nmtchps"] < 2, "sgscore2"] == -999).all()
    near = table["distpsnr2"] > -999
    assert (table.loc[near, "distpsnr1"] <= table.loc[near, "distpsnr2"]).all()
    assert table["distpsnr2"].max() < 30


def test_history_is_consistent(sky):
    table = sky[0]
    assert (table["ndethist"] >= 1).all()
    assert (table["nnotdet"] == table["ncovhist"] - table["ndethist"]).all()
    assert (table["nnotdet"] >= 0).all()
    np.testing.assert_allclose(table["age"], table["jd"] - table["jdstarthist"], atol=1e-3)
    np.testing.assert_allclose(table["age"], table["days_since_peak"] + table["days_to_peak"], atol=1e-2)
    ordered = table.sort_values(["objectId", "jd"]).groupby("objectId")["ndethist"]
    assert (ordered.diff().dropna() > 0).all()


def test_sets_differ_as_in_nature(sky):
    table = sky[0].groupby("source_set").median(numeric_only=True)
    assert table.loc["vars", "sgscore1"] > 0.8
    assert table.loc["trues", "sgscore1"] < 0.5
    assert table.loc["vars", "age"] > table.loc["trues", "age"] > table.loc["rejects", "age"]
    signs = sky[0].groupby("source_set")["isdiffpos"].apply(lambda sign: (sign == "f").mean())
    assert signs["trues"] == signs["dims"] == 0
    assert 0.2 < signs["vars"] < 0.8


def test_same_seed_same_bytes_and_more_sources_keep_the_earlier():
    few = {"trues": 3, "dims": 2, "vars": 3, "rejects": 5, "alerts_per_source": 2, "seed": 7}
    first, again = gathered(**few), gathered(**few)
    pd.testing.assert_frame_equal(first[0], again[0])
    assert first[1].tobytes() == again[1].tobytes()
    more = gathered(**{**few, "trues": 5, "rejects": 9})
    where = pd.Series(np.arange(len(more[0])), index=more[0]["candid"])[first[0]["candid"]]
    assert more[1][where.to_numpy()].tobytes() == first[1].tobytes()
    other = gathered(**{**few, "seed": 8})
    assert not set(other[0]["candid"]) & set(first[0]["candid"])


def test_chunks_are_bounded_and_keep_a_source_together():
    chunks = list(read(trues=6, dims=4, vars=6, rejects=10, alerts_per_source=5, chunk_alerts=12))
    assert len(chunks) > 2
    assert all(len(chunk.catalogue) < 12 + 5 for chunk in chunks)
    names = [set(chunk.catalogue["objectId"]) for chunk in chunks]
    assert sum(map(len, names)) == len(set.union(*names)) == 26


def test_the_history_of_an_artefact_does_not_tell_how_many_alerts_are_kept():
    few, many = (checked_settings(seed=3, alerts_per_source=most) for most in (1, 1000))
    longest = 0
    for index in range(25):
        all_of_it, one = (observe_source(settings, "rejects", index) for settings in (many, few))
        assert len(one.cutouts) == one.kept.sum() == 1
        longest = max(longest, len(all_of_it.kept))
        if one.rows["object_type"][0] != "asteroid":
            assert {name: list(values) for name, values in one.history.items()} == {
                name: list(values) for name, values in all_of_it.history.items()
            }
    assert longest > 3


@pytest.fixture(scope="module")
def real_alerts():
    """Rows and un-normalised cutouts of sources that are there: no artefacts."""
    settings = checked_settings(seed=4, alerts_per_source=8)
    seen = [observe_source(settings, name, index) for name in ("trues", "dims", "vars") for index in range(25)]
    rows = pd.DataFrame({k: [value for source in seen for value in source.rows[k]] for k in seen[0].rows})
    return settings, rows, np.concatenate([source.cutouts for source in seen])


def aperture_flux(difference, radius):
    """Sum over a circle about the central pixel less the median of a ring."""
    rows, columns = np.indices(difference.shape) - CENTRE
    distance = np.hypot(rows, columns)
    ring = difference[(distance > 9) & (distance < 14)]
    return np.sum(difference[distance <= radius] - np.median(ring)), np.sum(distance <= radius)


def test_aperture_photometry_agrees_with_magpsf(real_alerts):
    """Bias under 3 per cent; scatter as the noise of both measurements says."""
    _, rows, cutouts = real_alerts
    offsets, pulls = [], []
    for row, cutout in zip(rows.itertuples(), cutouts, strict=True):
        difference = cutout[2].astype(float)
        if row.scorr < 15 or np.isnan(difference[10:53, 10:53]).any():
            continue
        radius = 1.5 * row.seeing
        flux, count = aperture_flux(difference, radius)
        # Light of a Moffat profile of index 3 inside a radius: 1 - (1 + (r / a)^2)^-2.
        scale = row.seeing / (2 * np.sqrt(2 ** (1 / 3) - 1))
        flux /= 1 - (1 + (radius / scale) ** 2) ** -2
        offset = flux / 10 ** (0.4 * (row.magzpsci - row.magpsf)) - 1
        noise = 1.4826 * np.nanmedian(np.abs(difference - np.nanmedian(difference))) * np.sqrt(count) / flux
        offsets.append(offset)
        pulls.append(offset / np.hypot(noise, row.sigmapsf))
    assert len(offsets) > 100
    assert abs(np.median(offsets)) < 0.03
    assert 0.7 < 1.4826 * np.median(np.abs(pulls)) < 1.3


def test_magnitudes_are_calibrated_and_errors_honest():
    """Aperture and PSF photometry of one known flux, again and again, with all conditions in hand."""
    settings = Settings()
    rng = np.random.default_rng(0)
    empty = np.zeros((optics.FINE, optics.FINE // 2 + 1), dtype=complex)
    reference = imaging.reference(settings, rng, empty)
    flux = 10 ** (0.4 * (settings.zero_point - 18.0))
    visit = {"fwhm": 2.0, "sky": 190.0, "zero_point": settings.zero_point - 0.1, "sigma": 11.0}
    aperture, fitted, errors = [], [], []
    for _ in range(80):
        flaws = imaging.drawn_flaws(settings, rng)
        exposure = imaging.expose(settings, rng, reference, visit, (0.0, 0.0, flux), flaws)
        detection = photometry.measure(exposure, optics.CENTRE, optics.CENTRE, visit["fwhm"])
        difference = photometry.cut(exposure.difference, optics.CENTRE, optics.CENTRE, CENTRE)
        aperture.append(aperture_flux(difference, 8)[0])
        fitted.append(detection.flux)
        errors.append(detection.error)
    true = flux * 10**-0.04
    inside = 1 - (1 + (8 / (2.0 / (2 * np.sqrt(2 ** (1 / 3) - 1)))) ** 2) ** -2
    assert np.mean(fitted) == pytest.approx(true, rel=0.02)
    assert np.mean(aperture) / inside == pytest.approx(np.mean(fitted), rel=0.02)
    # A misjudged PSF width adds about 1 per cent to the noise of the pixels.
    assert np.mean(errors) * 0.7 < np.std(fitted) < np.hypot(np.mean(errors), 0.02 * true) * 1.3


def test_a_median_visit_has_the_depth_asked_for():
    settings = Settings()
    limits = np.concatenate([survey.visits(settings, np.random.default_rng(seed)).limit for seed in range(10)])
    assert np.median(limits) == pytest.approx(settings.depth, abs=0.15)
    deep = dataclasses.replace(settings, depth=20.0)
    shallower = np.median(survey.visits(deep, np.random.default_rng(0)).limit)
    assert shallower == pytest.approx(20.0, abs=0.25)


def test_noise_of_an_empty_difference_matches_the_limit():
    """The 5-sigma magnitude is five times the scatter of PSF fluxes measured on empty sky."""
    settings = Settings()
    rng = np.random.default_rng(1)
    some = survey.visits(settings, rng)
    names = ("fwhm", "sky", "zero_point", "sigma")
    reference = imaging.reference(settings, rng, np.zeros((optics.FINE, optics.FINE // 2 + 1), dtype=complex))
    scaled = []
    for index in range(60):
        visit = {name: getattr(some, name)[index] for name in names}
        exposure = imaging.expose(settings, rng, reference, visit, (0, 0, 0), imaging.Flaws(0, 0, 0, 0))
        for row in (30, 48, 66):
            detection = photometry.measure(exposure, row, 48, visit["fwhm"])
            scaled.append(5 * detection.flux / 10 ** (0.4 * (visit["zero_point"] - some.limit[index])))
    assert np.std(scaled) == pytest.approx(1.0, abs=0.2)
    assert abs(np.mean(scaled)) < 0.25


def test_seeing_of_field_stars_agrees_with_fwhm(real_alerts):
    settings, rows, _ = real_alerts
    point_like = rows["scorr"] > 15
    ratio = rows.loc[point_like, "fwhm"] / rows.loc[point_like, "seeing"]
    assert ratio.median() == pytest.approx(1.0, abs=0.06)
    # A star's radius of half its peak, from pixels alone.
    star = optics.image(optics.point_spread(2.4) * optics.phase(0, 0))
    profile = star[optics.CENTRE, optics.CENTRE :] / star.max()
    half = np.interp(-0.5, -profile[:6], np.arange(6))
    assert 2 * half == pytest.approx(np.hypot(2.4, 0.8), rel=0.08), "pixels widen a star a little"
    assert rows["seeing"].median() * PIXEL_SCALE == pytest.approx(settings.seeing, rel=0.12)


def test_the_difference_is_positive_at_the_source_of_either_sign(real_alerts):
    _, rows, cutouts = real_alerts
    clear = (rows["scorr"] > 12) & (rows["chipsf"] < 3)
    for sign in ("t", "f"):
        chosen = np.flatnonzero(clear & (rows["isdiffpos"] == sign))
        assert len(chosen) > 5
        centre = cutouts[chosen, 2][:, 28:35, 28:35]
        assert (np.nanmax(centre, axis=(1, 2)) > -np.nanmin(centre, axis=(1, 2))).mean() > 0.95


def test_masked_pixels_and_artefacts_reach_the_cutouts():
    settings = checked_settings(seed=1)
    seen = [observe_source(settings, "rejects", index) for index in range(60)]
    kinds = {source.rows["object_type"][0] for source in seen}
    assert kinds == {"asteroid", "dipole", "saturated star", "cosmic ray", "detector edge"}
    for name in ("saturated star", "detector edge"):
        masked = [np.isnan(s.cutouts[0, 0]).any() for s in seen if s.rows["object_type"][0] == name]
        assert np.mean(masked) > 0.5
    scores = {name: [] for name in kinds}
    for source in seen:
        scores[source.rows["object_type"][0]] += source.rows["new_drb"]
    assert np.median(scores["asteroid"]) > 0.95 > np.median(scores["cosmic ray"])


def test_an_asteroid_is_nowhere_but_in_its_night():
    settings = Settings()
    event = draw_asteroid(settings, np.random.default_rng(3))
    lit = np.flatnonzero(event.flux)
    assert 1 <= len(lit) <= 2
    assert np.ptp(event.visits.jd[lit]) < 0.5
    assert event.window[lit].all()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_draws_an_event(kind):
    event = kind.draw(Settings(), np.random.default_rng(5))
    assert len(event.flux) == len(event.window) == len(event.visits)
    assert np.isfinite(event.flux).all()
    assert abs(event.x) <= 0.5
    assert abs(event.y) <= 0.5


def test_names_are_unique_and_dated():
    names = {object_name(ordinal, 2460235.5) for ordinal in range(20_000)}
    assert len(names) == 20_000
    assert all(name.startswith("ZTF23") for name in names)
    assert object_name(0, 2460310.4).startswith("ZTF23"), "31 December 2023, 21:36"
    assert object_name(0, 2460310.6).startswith("ZTF24")
    assert len({alert_number(ordinal, 2460235.5) for ordinal in range(20_000)}) == 20_000
    assert alert_number(1, 2460235.5) // 10**9 == 2_481_000_000
    (longest,) = (entry for entry in dataclasses.fields(Settings) if entry.name == "survey_days")
    assert alert_number(10**7, survey.FIRST_JD + longest.metadata["high"]) < 2**63
