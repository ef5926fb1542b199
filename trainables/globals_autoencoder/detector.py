"""The detector: which objects, and how much missing momentum, a simulated collision leaves behind.

A few cuts, an isolation, anti-kt jets with a Gaussian resolution, a b-tag with efficiencies, a soft term:
every number is in `Recipe`, and nothing else is random or tuned. FastJet is imported when a jet is made.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from trainables.dataset import Array
from trainables.globals_autoencoder.events import PhysicsObject


@dataclass(frozen=True)
class Recipe:
    """The collider and the detector: energies and momenta in GeV, angles in radians.

    Args:
        collision_energy_gev: Proton-proton energy in the centre of mass.
        visible_abs_eta: Particles beyond this |eta|, and neutrinos, leave no trace.
        lepton_pt_gev: Smallest pT of an electron or muon.
        photon_pt_gev: Smallest pT of a photon.
        jet_pt_gev: Smallest pT of a jet, after smearing.
        object_abs_eta: Largest |eta| of every object.
        isolation_cone: Radius in (eta, phi) of the isolation cone around leptons and photons.
        lepton_isolation: Largest sum of other visible pT in the cone, as a share of the lepton's pT.
        photon_isolation: The same for photons.
        jet_radius: Radius parameter of anti-kt.
        jet_stochastic: ``a`` of the jet resolution ``sigma(E)/E = sqrt(a^2 / (E / GeV) + c^2)``.
        jet_constant: ``c`` of the jet resolution.
        heavy_hadron_pt_gev: Smallest pT of a b or c hadron that gives a jet its flavour.
        b_efficiency: Chance of the b-tag for a jet with a b hadron within ``jet_radius``.
        charm_mistag: The same with a c hadron and no b hadron.
        light_mistag: The same with neither.
        soft_term_gev: Standard deviation of each component of the soft term in the missing momentum.
        fewest_objects: Events with fewer objects are made anew.
    """

    collision_energy_gev: float = 13_000.0
    visible_abs_eta: float = 4.9
    lepton_pt_gev: float = 15.0
    photon_pt_gev: float = 20.0
    jet_pt_gev: float = 25.0
    object_abs_eta: float = 2.5
    isolation_cone: float = 0.3
    lepton_isolation: float = 0.15
    photon_isolation: float = 0.10
    jet_radius: float = 0.4
    jet_stochastic: float = 0.8
    jet_constant: float = 0.04
    heavy_hadron_pt_gev: float = 5.0
    b_efficiency: float = 0.77
    charm_mistag: float = 0.2
    light_mistag: float = 0.01
    soft_term_gev: float = 10.0
    fewest_objects: int = 2


RECIPE = Recipe()
_LEPTON_IDS = {-11: 3, 11: 4, -13: 5, 13: 6}
_PHOTON = 22
_NEUTRINOS = (12, 14, 16)
_JET, _B_JET, _PHOTON_ID = 1, 2, 7


class Particles(NamedTuple):
    """Particles as arrays: PDG ids ``(n,)``, and four-momenta px, py, pz, E in GeV ``(n, 4)``."""

    pdg: Array
    momenta: Array

    def where(self, kept: Array | slice | list[int]) -> Particles:
        """Return the particles at a mask ``(n,)``, a slice or indices."""
        return Particles(self.pdg[kept], self.momenta[kept])

    @property
    def pt(self) -> Array:
        """Transverse momentum in GeV, shape ``(n,)``."""
        pt: Array = np.hypot(self.momenta[:, 0], self.momenta[:, 1])
        return pt

    @property
    def eta(self) -> Array:
        """Pseudorapidity, shape ``(n,)``; a particle along the beam has a large one, not an infinite one."""
        eta: Array = np.arcsinh(self.momenta[:, 2] / np.maximum(self.pt, 1e-9))
        return eta

    @property
    def phi(self) -> Array:
        """Azimuth in radians between -pi and pi, shape ``(n,)``."""
        phi: Array = np.arctan2(self.momenta[:, 1], self.momenta[:, 0])
        return phi

    def within(self, eta: float, phi: float, radius: float) -> Array:
        """Return which particles lie within ``radius`` of a direction in (eta, phi), bool, shape ``(n,)``."""
        dphi = np.remainder(self.phi - phi + np.pi, 2 * np.pi) - np.pi
        near: Array = np.hypot(self.eta - eta, dphi) < radius
        return near


class Collision(NamedTuple):
    """What the detector is given of one event: the visible stable particles, and the b and c hadrons."""

    visible: Particles
    heavy: Particles


def seen(record: Particles, final: Array) -> Collision:
    """Return what the detector is given of a whole event record.

    Args:
        record: Every particle of the record, with those that decayed.
        final: Which of them are stable, bool, shape ``(n,)``.
    """
    visible = record.where(final & ~np.isin(np.abs(record.pdg), _NEUTRINOS))
    heavy = record.where(has_quark(record.pdg, 5) | has_quark(record.pdg, 4))
    return Collision(
        visible.where(np.abs(visible.eta) < RECIPE.visible_abs_eta),
        heavy.where(heavy.pt > RECIPE.heavy_hadron_pt_gev),
    )


def has_quark(pdg: Array, flavour: int) -> Array:
    """Return which PDG ids are hadrons whose heaviest quark has a flavour, bool, shape ``(n,)``.

    Args:
        pdg: PDG ids, shape ``(n,)``.
        flavour: 4 for charm, 5 for bottom.

    Source:
        Monte Carlo particle numbering scheme, Review of Particle Physics: a hadron's digits are its quarks;
        diquarks, which have 0 in the tens, are not hadrons.
    """
    ids = np.abs(pdg)
    quark = np.where(ids // 1000 % 10 > 0, ids // 1000 % 10, ids // 100 % 10)
    hadron: Array = (quark == flavour) & (ids // 10 % 10 > 0)
    return hadron


def reconstruct(collision: Collision, rng: np.random.Generator) -> list[PhysicsObject]:
    """Return the leptons, photons and jets of a collision within the cuts of `RECIPE`, in no order.

    Args:
        collision: What the detector is given.
        rng: Draws the smearing of jets and the b-tags; one per process, so that the order of calls counts.
    """
    visible = collision.visible
    chosen = _isolated(visible)
    rest = np.delete(visible.momenta, chosen, axis=0)
    jets = _smeared(_jets(rest), rng)
    directs = visible.where(chosen)
    ids = [_LEPTON_IDS.get(pdg, _PHOTON_ID) for pdg in directs.pdg.tolist()]
    return _objects(ids, directs) + _objects(_tags(jets, collision.heavy, rng), jets)


def _isolated(visible: Particles) -> list[int]:
    """Return the indices of the isolated electrons, muons and photons within the cuts."""
    is_photon = visible.pdg == _PHOTON
    threshold = np.where(is_photon, RECIPE.photon_pt_gev, RECIPE.lepton_pt_gev)
    share = np.where(is_photon, RECIPE.photon_isolation, RECIPE.lepton_isolation)
    pt, eta, phi = visible.pt, visible.eta, visible.phi
    candidates = (
        np.isin(visible.pdg, [*_LEPTON_IDS, _PHOTON])
        & (pt > threshold)
        & (np.abs(eta) < RECIPE.object_abs_eta)
    )
    return [
        index
        for index in np.flatnonzero(candidates).tolist()
        if pt[visible.within(eta[index], phi[index], RECIPE.isolation_cone)].sum() - pt[index]
        < share[index] * pt[index]
    ]


def _jets(momenta: Array) -> Array:
    """Return the anti-kt jets of ``(n, 4)`` momenta with at least half the pT threshold, shape ``(jets, 4)``.

    Source:
        Cacciari, Salam, Soyez, JHEP 0804 (2008) 063, and FastJet, EPJC 72 (2012) 1896.
    """
    import fastjet

    definition = fastjet.JetDefinition(fastjet.antikt_algorithm, RECIPE.jet_radius)
    clusters = fastjet.ClusterSequence([fastjet.PseudoJet(*row) for row in momenta.tolist()], definition)
    # Half the threshold, because smearing can lift a jet over it.
    found = [
        (jet.px(), jet.py(), jet.pz(), jet.E()) for jet in clusters.inclusive_jets(RECIPE.jet_pt_gev / 2)
    ]
    return np.array(found).reshape(-1, 4)


def _smeared(momenta: Array, rng: np.random.Generator) -> Particles:
    """Return jets with energy and momentum scaled by one Gaussian factor each, within the cuts."""
    energy = momenta[:, 3]
    resolution = np.hypot(RECIPE.jet_stochastic / np.sqrt(energy), RECIPE.jet_constant)
    factor = np.maximum(rng.normal(1.0, resolution), 0.0)
    jets = Particles(np.zeros(len(momenta), dtype=int), momenta * factor[:, None])
    return jets.where((jets.pt > RECIPE.jet_pt_gev) & (np.abs(jets.eta) < RECIPE.object_abs_eta))


def _tags(jets: Particles, heavy: Particles, rng: np.random.Generator) -> list[int]:
    """Return the id of each jet, b or j: drawn with the efficiency of the heaviest hadron in its cone."""
    bottom, charm = has_quark(heavy.pdg, 5), has_quark(heavy.pdg, 4)
    ids = []
    for eta, phi in zip(jets.eta, jets.phi, strict=True):
        near = heavy.within(eta, phi, RECIPE.jet_radius)
        mistag = RECIPE.charm_mistag if (near & charm).any() else RECIPE.light_mistag
        chance = RECIPE.b_efficiency if (near & bottom).any() else mistag
        ids.append(_B_JET if rng.random() < chance else _JET)
    return ids


def _objects(ids: list[int], particles: Particles) -> list[PhysicsObject]:
    kinematics = np.stack([particles.momenta[:, 3], particles.pt, particles.eta, particles.phi], axis=1)
    return [PhysicsObject(obj, *row) for obj, row in zip(ids, kinematics.tolist(), strict=True)]


def missing_momentum(objects: list[PhysicsObject], rng: np.random.Generator) -> tuple[float, float]:
    """Return MET in GeV and its azimuth in radians: minus the vector sum of objects, plus a soft term.

    Args:
        objects: The reconstructed objects of one event.
        rng: Draws the soft term, a Gaussian of width `Recipe.soft_term_gev` for each component.
    """
    soft_x, soft_y = rng.normal(0.0, RECIPE.soft_term_gev, size=2)
    x = soft_x - sum(item.pt_gev * math.cos(item.phi) for item in objects)
    y = soft_y - sum(item.pt_gev * math.sin(item.phi) for item in objects)
    return math.hypot(x, y), math.atan2(y, x)
